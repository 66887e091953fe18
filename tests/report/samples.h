// Documents of reports, shortened, of runs on generated images: run, search, scan, train, evaluation, trainings and bench.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "engine/io/files.h"
#include "tests/source_dir.h"

namespace fp::testing {

inline const char* const kSamples[] = {"run", "search", "scan", "train", "evaluation", "trainings", "bench"};

// That of a search is the run's with the scores and the sweep of its own.
inline nlohmann::ordered_json sample(const std::string& name) {
    const auto file = source_dir() / "tests/report/samples" / (name + ".json");
    nlohmann::ordered_json document = nlohmann::ordered_json::parse(read_file(file, 1 << 20));
    if (name != "search") return document;
    nlohmann::ordered_json run = sample("run");
    run.update(document);
    return run;
}

// The sample of an evaluation, with its class01 judged at a threshold.
inline nlohmann::ordered_json at_a_threshold() {
    nlohmann::ordered_json document = sample("evaluation");
    nlohmann::ordered_json report = document["evaluation"];
    const auto of = [](int positives) {
        return nlohmann::ordered_json{{"class01",
                                       {{"positives", positives},
                                        {"tpr", {{"value", 0.8}, {"low", 0.7}, {"high", 0.9}}},
                                        {"fpr", {{"value", 0.1}, {"low", 0.05}, {"high", 0.15}}}}}};
    };
    report["per_class"] = of(30);
    for (auto& [name, attribute] : report["attributes"].items())
        for (auto& [group, figures] : attribute["groups"].items()) figures["per_class"] = of(10);
    document["evaluation"]["threshold"] = {
        {"positive", "class01"},
        {"rule", "f1"},
        {"value", 0.3125},
        {"validation", {{"images", 60}, {"sensitivity", 0.9}, {"specificity", 0.8}, {"f1", 0.75}}},
        {"report", report}};
    return document;
}

}  // namespace fp::testing
