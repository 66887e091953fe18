// Who runs a pruning run and with which settings: what its folder records, and what a resumed run must share.
#pragma once

#include "engine/prune/baseline.h"
#include "engine/run/identity.h"
#include "engine/run/run_folder.h"

namespace fp {

struct Caller {
    std::string tool = "fairprune";
    std::string command_line = {};
    std::string config = {};  // every setting, as --config takes it
    // The settings that decide the bits of a run, by name: resuming with another value is refused. Empty: those of
    // PruneSettings.
    std::vector<Setting> settings = {};
};

// What a run must share with the one that it resumes.
Identity identity_of(const Baseline&, const PruneSettings&, const Caller&);

// Writes config.toml and environment.json.
void record_caller(RunFolder&, const Caller&);

}  // namespace fp
