// Documents of reports, shortened, of runs on generated images: run, search, scan, train, evaluation and bench.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/io/files.h"
#include "tests/source_dir.h"

namespace fp::testing {

inline const char* const kSamples[] = {"run", "search", "scan", "train", "evaluation", "bench"};

// That of a search is the run's with the scores and the sweep of its own.
inline nlohmann::ordered_json sample(const std::string& name) {
    const auto file = source_dir() / "tests/report/samples" / (name + ".json");
    nlohmann::ordered_json document = nlohmann::ordered_json::parse(read_file(file, 1 << 20));
    if (name != "search") return document;
    nlohmann::ordered_json run = sample("run");
    run.update(document);
    return run;
}

}  // namespace fp::testing
