// How often each test split was read: every judgement of a test split is one more look at it, and what is chosen by
// several looks fits it by chance. The record is the user's, over all folders and tools:
//
//   $FAIRPRUNE_STATE/test_reads.jsonl, else $XDG_STATE_HOME/fairprune/..., else ~/.local/state/fairprune/...
//
// FAIRPRUNE_STATE=off keeps none. A row is one read:
//
//   {"date","split","images","models":[...],"folder","tool","command_line"}
//
// A read is one command that judges a test split. The same models judged again by a run in the same folder, as where it
// is resumed, are the same read; without a folder every command is one.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/fairness/predictions.h"
#include "engine/io/fields.h"

namespace fp {

struct Caller;

inline constexpr const char* kStateVariable = "FAIRPRUNE_STATE";  // names a folder, or is off

// The images that judge, whatever else the data set holds. `hash`: XXH3-128 over the sorted file names, without folders
// and endings, each with its class; of generated images over specification, number and class. So the same test split is
// known again from another folder, or from a file of predictions.
struct TestSplit {
    std::string hash = {};
    int64_t images = 0;
};
// Of those samples or rows that are neither of train nor of val; without images where there are none.
TestSplit test_split(const Dataset&, const std::vector<int64_t>& samples);
TestSplit test_split(const Predictions&);

// XXH3-128 of what was predicted, for predictions from a file, whose model is not known.
std::string predictions_hash(const Predictions&);

struct TestRead {
    TestSplit split;
    std::vector<std::string> models;    // weights_hash() or predictions_hash()
    std::filesystem::path folder = {};  // of the run; empty: there is none
};

// What is on record of one test split.
struct TestReads {
    std::string split = {};
    int64_t images = 0;
    std::optional<int64_t> count = {};       // reads, with the one of now; empty: `reason` says why it is not known
    std::string since = {};                  // when the first was
    std::map<std::string, int64_t> by = {};  // reads of each tool
    int64_t models = 0;                      // different ones that were judged
    std::string reason = {};
    std::string fault = {};  // to warn of: the record cannot be written, or has lines that cannot be read
};
// As {"split","images","count","since","by","models"}, or with a "count" of null and "reason".
void fields(const TestReads&, JsonWriter&);

// Adds the read to the record, and to test_reads.jsonl in the folder where there is one, and returns what is on record
// then. To be called before the images are judged. A record that cannot be written is no Error.
TestReads record_test_read(const TestRead&, const Caller&);

// "the test split (n=504, 1f3a9c02) was read 3 times on record since 2026-11-28 (fp_eval 2, fp_prune 1; 4 models)".
std::string sentence(const TestReads&);

}  // namespace fp
