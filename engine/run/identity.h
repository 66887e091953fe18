// What a run must share with the run that it resumes, by name and value.
#pragma once

#include <string>
#include <vector>

#include "engine/data/dataset.h"

namespace fp {

struct Setting {
    std::string name, value;  // "--lr", "0.05"

    bool operator==(const Setting&) const = default;
};

struct Identity {
    std::vector<Setting> settings = {};  // another value gives other bits: resuming with it is refused
    std::vector<Setting> noted = {};     // another value is allowed and reported: the data's folder, threads

    void add(const Identity& other);
    bool operator==(const Identity&) const = default;
};

// The first setting that differs and how many more do: "--lr was 0.05, is 0.1, and 2 more settings differ". Empty
// where none does.
std::string difference(const std::vector<Setting>& saved, const std::vector<Setting>& now);

// Images, classes and splits by their hash, and the group of every sample for each attribute. Files may move: their
// folder is noted.
Identity identity_of(const Dataset&, const std::vector<std::string>& attributes);

// The number of ranks that train together, which decides what a step is; with `any`, another number is allowed.
Identity identity_of_ranks(int ranks, bool any);

// What was saved, each setting on the list on which the run that resumes has it. A run that says nothing of ranks had
// one.
Identity as_listed(const Identity& saved, const Identity& now);

// The number of host threads, which decides how sums are rounded.
Identity identity_of_threads();

}  // namespace fp
