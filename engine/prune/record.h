// Who runs a pruning run and with which settings: what its folder records, and what a resumed run must share.
#pragma once

#include "engine/prune/baseline.h"
#include "engine/run/identity.h"
#include "engine/run/run_folder.h"

namespace fp {

// What a run must share with the one that it resumes.
Identity identity_of(const Baseline&, const PruneSettings&, const Caller&);

// Writes config.toml and environment.json.
void record_caller(RunFolder&, const Caller&);

}  // namespace fp
