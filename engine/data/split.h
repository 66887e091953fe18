// Drawing train, validation and test.
//
// Whole groups of samples are dealt to the parts: what shares a unit (lesion, else patient, else image) or a patient
// stays together. Larger groups first, else in an order keyed by (seed, name of the unit); each group goes where it
// disturbs the wanted class counts least (chi^2). So every class, and groups of every size, are spread in the same
// proportions as far as whole groups allow, and neither the order of the rows nor the machine matters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/io/csv.h"

namespace fp {

// Each sets Dataset::split_seed. 60/20/20 for the whole data set. `same_side`: sets of samples that must not be parted
// either, such as files with equal bytes.
void draw_split(Dataset&, uint64_t seed, const SampleSets& same_side = {});

// A fifth of train becomes val.
void draw_validation(Dataset&, uint64_t seed);

// For a head that learns from images which the features have not: half of the lesions of val become train, the rest
// stays val, and what was train is of the split kFirstStage.
inline constexpr const char* kFirstStage = "first-stage";
void train_on_half_of_validation(Dataset&, uint64_t seed);

struct Tied {
    int label;
    int64_t group;          // equal where samples stay together
    std::string_view name;  // breaks ties of the order
};
// The part of each sample, with the `shares` that are asked for (they sum to 1).
std::vector<int> stratified_parts(const std::vector<Tied>&, const std::vector<double>& shares, uint64_t seed);

// Units (or patients) with samples in more than one of train, val and all splits for judging together, sorted.
std::vector<std::string> parted_units(const Dataset&);
// Exit::data where there are such units, or `files` sets of equal files in two splits, unless `allow`.
void refuse_parted(const std::string& data, const std::vector<std::string>& units, size_t files, bool allow);
inline constexpr const char* kLeakIsPermitted = " (--allow-leak permits that)";
// How many images of `split` are of a unit (or patient) that `other` has images of too.
int64_t shared_images(const Dataset&, Split split, Split other);

// image, label, split, then the attributes: opens again with csv:FILE,images=ROOT. An attribute called as one
// of the three, such as a split that was not used, gets `_before` behind its name.
Table split_table(const Dataset&);
// Writes it to FOLDER/split.csv where a part of the split was drawn.
void write_drawn_split(const std::filesystem::path& folder, const Dataset&);

}  // namespace fp
