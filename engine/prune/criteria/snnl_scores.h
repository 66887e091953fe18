// Soft nearest neighbour scores of channels against groups of samples, normalised by what a channel without
// any information scores (kernels/shapes.h has the definitions).
//
//   chance  = - sum_{g : n_g >= 2} (n_g / M) log((n_g - 1) / (N - 1)),   M = sum of those n_g
//   score~  = score / chance        1: the neighbours say nothing of the group; 0: they tell it
//
// Chance is what equal distances give. Distances that vary (small maps, small temperatures) lift the score of
// a channel without information above it, by more than noise. What such a channel scores is then found from
// the channel's own distances under labels that are permuted among lesions.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "engine/core/channel_sets.h"
#include "engine/eval/features.h"

namespace fp {

// By set name. Comparable across sets: score~ for SNNL, else the value over the mean magnitude of the set's.
using SetScores = std::map<std::string, std::vector<double>>;

const char* name(SnnlShape::Definition);
const char* name(SnnlShape::Distance);

struct SnnlOptions {
    SnnlShape::Definition definition = SnnlShape::Definition::exact;
    SnnlShape::Distance distance = SnnlShape::Distance::cosine;
    double temperature = 1;
    bool centred = false;      // about the mean map of the samples whose group is known
    bool given_class = false;  // pairs of one class only
    int block = 0;         // samples per block, scores averaged over blocks in order, the tail dropped; 0: all at once
    int permutations = 0;  // of the labels, for each channel's null; 0: none
    uint64_t seed = 1;     // of these
    bool halves = false;   // also score either half of the samples
};

// One attribute's labels of the calibration samples, -1 = unknown.
struct LabelSet {
    std::string name;
    std::vector<int32_t> of;
    std::vector<int32_t> unit = {};  // lesion; its labels go together. Empty: each sample its own
};

// Scores of one channel each under permuted labels, and where its own score stands among them.
//   z = (score - mean) / sd      p = (1 + #{permuted <= score}) / (1 + permutations)
struct NullScores {
    int permutations = 0;
    std::vector<double> mean, sd, z, p;
};

struct LayerScores {
    std::string layer = {}, tap = {}, attribute = {}, definition = {}, distance = {};
    double temperature = 1;
    int64_t samples = 0;  // known ones
    double chance = 0;
    std::vector<double> score = {}, normalized = {};  // NaN: not estimable
    std::string reason = {};                          // why
    int64_t blocks = 1;
    std::optional<NullScores> null = {};
    // What normalized is divided by: "chance", or "permutations" (the null's mean) where chance_is_low().
    std::string normalized_by = "chance";
    double seconds = 0;  // of this layer's scores, all attributes together
    // `normalized` of either half of the samples, for noise_of(). Not in files.
    std::optional<std::array<std::vector<double>, 2>> halves = {};
};

// The labels permuted among the units with the same number of known samples, within a stratum where strata are
// given: group sizes, and so chance, stay as they are. Keyed by (seed, index).
LabelSet permuted(const LabelSet&, const std::vector<int32_t>& strata, uint64_t seed, int index);

// The labels of one half (0 or 1) of the samples, the others unknown: lesions alternate within each group and stratum.
LabelSet half_of(const LabelSet&, const std::vector<int32_t>& strata, int half);

// Where chance is too low for a channel without information: T < 0.5, or maps of fewer than 49 numbers. The
// released definition is another, and may fall below 0; it stays over chance.
bool chance_is_low(const SnnlOptions&, const Map&);

// One result per label set, of the features' channels. `classes` (by sample) are the strata when `given_class`. `ask`, if
// any, is called from time to time.
std::vector<LayerScores> score_layer(const Kernels&,
                                     Features&,
                                     const std::vector<LabelSet>&,
                                     const std::vector<int32_t>& classes,
                                     const SnnlOptions&,
                                     Tap tap,
                                     const std::function<void()>& ask = {});

// The same of all channels of the layer, from those of each rank's; the slowest rank's seconds. Every rank calls this.
std::vector<LayerScores> of_all_channels(const Comm&, std::vector<LayerScores> mine);

// The mean over attributes (weighted) and over the scored layers of a set of
//   1 - s + lambda u,   s = 1 - score~ of the attribute, u = 1 - score~ of the class
// so that with lambda = 0 and one attribute it is score~ itself. `class_name` is the attribute that stands
// for the class (may be absent where lambda is 0). Sets without a scored layer are left out.
SetScores snnl_set_scores(const std::vector<ChannelSet>&,
                          const std::vector<LayerScores>&,
                          const std::map<std::string, double>& attribute_weights,
                          const std::string& class_name,
                          double lambda);

// The standard error of a channel's value by set, from the values of either half of the samples: the median over the
// set's channels of |first - second| / 2, times 1.4826, which makes it the standard deviation where values are normal.
std::map<std::string, double> noise_of(const SetScores& first, const SetScores& second);

}  // namespace fp
