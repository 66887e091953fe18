// A data set: which images, of which class, in which split, with which attributes. Images are not read here.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/seen.h"
#include "engine/data/sources/synth.h"
#include "engine/fairness/grouping.h"
#include "engine/io/csv.h"

namespace fp {

// other: any further name in a split column. Such images are judged where that split is asked for, and never trained
// on.
enum class Split { train, val, test, other };
inline constexpr std::array kSplits = {Split::train, Split::val, Split::test};
std::string_view name(Split);
// train, val or test from the words in use for them (training, valid, validation, dev, testing, any case).
std::optional<Split> parse_split(std::string_view word);

struct Sample {
    std::string image = {};  // the file, relative to Dataset::root
    int label = {};          // index into Dataset::classes; -1: images without labels (engine/eval/unlabelled.h)
    Split split = {};
    std::string other_split = {};  // the name of Split::other
    std::string unit = {};         // lesion, else patient, else image: in one split only, resampled as a whole
    Cells attributes = {};         // as in the file, one for each of Dataset::columns
    int64_t line = 0;              // of Dataset::table; 0: there is none
};
inline std::string_view split_name(const Sample& s) {
    return s.split == Split::other ? std::string_view(s.other_split) : name(s.split);
}

struct Dataset {
    std::string name = {};   // the specification it was opened with, printable
    std::string table = {};  // the file that lists the samples
    std::string root = {};
    std::vector<std::string> classes = {};
    std::vector<std::string> columns = {};  // every column that is not image, label or split
    std::vector<Sample> samples = {};
    std::vector<std::string> notes = {};      // what was left out, drawn or is missing, one line each
    std::optional<uint64_t> split_seed = {};  // all splits, or val alone, were drawn with it; empty: none was
    std::optional<SeenImages> seen = {};      // DatasetOptions::seen
    std::optional<SynthSpec> synth = {};      // set: sample i is render(*synth, i), there are no files
};

using SampleSets = std::vector<std::vector<int64_t>>;

struct DatasetOptions {
    std::optional<uint64_t> split_seed = {};  // empty: that of `seen` where it knows an image, else 0
    std::optional<SeenImages> seen = {};      // by the model that the data are for
    bool whole_if_unseen = false;             // to judge only: what `seen` does not know is not split, all is test
    bool allow_leak = false;                  // refuse_leaks() notes what it finds
    std::vector<std::string> unknown = {};    // words for an unknown attribute besides those of is_unknown()
    bool allow_absolute = false;              // image paths that are absolute or contain ".."
    bool exclude_qc = false;                  // Fitzpatrick17k: leave out what its `qc` calls wrongly labelled
    std::vector<std::string> exclude_unknown = {};  // columns: rows where one of them is unknown are left out
    std::vector<std::string> classes = {};          // of a checkpoint: taken in this order, other labels refused
};

// Opens a specification, KIND:HEAD[,KEY=VALUE]... The kinds are synth, csv, isic2019, fitzpatrick17k and folder; the
// head of engine/data/sources/source_KIND.cpp gives the form of each. Without images= the files are beside the CSV.
//
// Classes are the sorted distinct labels (as numbers if all are numbers); ISIC 2019 has its own order.
// Without a split column 60/20/20 is drawn (engine/data/split.h), unless whole_if_unseen forbids it; where only val is
// missing, a fifth of train becomes val. Leaks are refused (engine/data/seen.h). Exit::usage for a specification that
// cannot be read, Exit::data for the rest.
Dataset open_dataset(const std::string& spec, const DatasetOptions& options = {});

// The samples of one split, in the order of the data set.
std::vector<int64_t> members(const Dataset&, Split);

// How many samples of a split each class has.
std::vector<int64_t> class_counts(const Dataset&, Split);

// The attribute columns of these samples, for group_by.
AttributeColumns attribute_columns(const Dataset&, const std::vector<int64_t>& samples);

// A note of each of these words (DatasetOptions::unknown) that no cell of the table is.
std::vector<std::string> notes_of_unknown_words(const Table&, const std::vector<std::string>& words);

// The groups of all samples by an attribute (engine/fairness/grouping.h has the specifications).
Grouping group_by(const Dataset&, const std::string& spec);

std::filesystem::path image_file(const Dataset&, const Sample&);

// XXH3-128 in hex over image, class and split of every sample: equal where two data sets have the same files with the
// same labels in the same splits.
std::string split_hash(const Dataset&);

}  // namespace fp
