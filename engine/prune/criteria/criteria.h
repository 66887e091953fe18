// The order in which channels are removed. A criterion gives one number per channel of a set; the lowest go first.
// Each is one constant of type Criterion, at the end of its file; criteria.cpp lists them.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/channel_sets.h"
#include "engine/core/network.h"
#include "engine/eval/features.h"
#include "engine/io/one_of.h"
#include "engine/io/steps.h"
#include "engine/prune/criteria/mask_options.h"
#include "engine/prune/criteria/snnl_scores.h"

namespace fp {

struct Scoring;
struct ScoreOptions;
struct ChannelScores;

// What a criterion reads; each level includes the one before it.
enum class Needs {
    weights,  // of the network alone
    images,   // the calibration images
    groups,   // of at least one attribute
    one_attribute
};

struct Criterion {
    std::string_view name, says, paper;  // paper: its address, or empty
    Needs needs;
    // Fills out.sets with values of every set that has them, on any scale; or out.layers, where `combine` is given.
    // out.note: what was chosen on the way, in words. Null: nothing is removed.
    void (*score)(const Scoring&, ChannelScores& out);
    // The settings that it reads beside those of the calibration images, by their names in scores.json, with spaces.
    std::string_view settings = {};
    // Values of sets from scores of layers. Without it scores.json holds the sets' values themselves.
    SetScores (*combine)(const std::vector<ChannelSet>&,
                         const std::vector<LayerScores>&,
                         const ScoreOptions&) = nullptr;
    // Whether these options make it read the groups, beside `needs`.
    bool (*reads_groups)(const ScoreOptions&) = nullptr;
    bool comparable = false;  // values of sets are on one scale, and are not divided by the set's mean

    static constexpr std::string_view kind = "criterion";
    static std::span<const Criterion* const> all();
};

struct FairPruneOptions {
    double beta = 0.33;                // how much the other groups' loss counts
    std::string protected_group = {};  // empty: the group of the highest loss
};

struct ScoreOptions {
    OneOf<Criterion> criterion = "snnl";
    std::map<std::string, double> attributes = {};  // specification -> weight
    SnnlOptions snnl = {};                          // its block is of `batches`
    // Images per block of SNNL scores, 0: all at once. Empty: all at once or, as released, 128.
    std::optional<int> batches = {};
    Tap tap = Tap::convolution;
    std::string layers = "last";  // last, all, or a glob over layer names (* and ?)
    int64_t samples = 4096;       // calibration images, from the training split; 0: all of them
    double protect = 0;           // snnl, lambda: weight of the class's own score, to keep what tells the class
    FairPruneOptions fairprune = {};
    MaskOptions masks = {};
    uint64_t seed = 1;
    std::optional<uint64_t> placebo =
        {};  // seed of the groups that are scored by (engine/data/placebo.h); empty: the true ones
    size_t budget_bytes = size_t(2) << 30;
    PredictOptions predict = {};
    Steps progress = {};  // of the layers; what it throws ends the scoring
};

struct ChannelScores {
    std::string criterion;
    std::vector<LayerScores> layers = {};  // of a criterion with `combine`
    SetScores sets = {};                   // lowest first to go
    // The standard error of a channel's value, by set. Sets of criteria that read no samples, or say nothing of it, are
    // not there.
    std::map<std::string, double> noise = {};
    std::string note = {};  // what was chosen on the way, in words
};

// What a criterion reads.
struct Scoring {
    Session& session;
    const Preprocessing& preprocessing;
    const ImageData& data;
    const ScoreOptions& options;
    std::vector<ChannelSet> sets;       // those that can lose channels
    std::vector<std::string> layers;    // those asked for
    std::vector<int64_t> samples = {};  // calibration images, of a criterion that needs them

    const Network& network() const { return session.network(); }
    Pass pass(const std::vector<int64_t>& some) const { return {session, preprocessing, data, some, options.predict}; }
    // `ask` is to be called from time to time while a layer is scored.
    void for_each_layer(const std::function<void(Features&, const std::function<void()>& ask)>& visit) const {
        int64_t done = 0;
        const std::function<void()> ask = [&] {
            if (options.progress) options.progress(done, int64_t(layers.size()));
        };
        fp::for_each_layer(pass(samples), layers, options.tap, options.budget_bytes, [&](Features& features) {
            ask();
            visit(features, ask);
            ++done;
            ask();
        });
    }
};

// ScoreOptions::batches, or what stands for none.
int block_of(const ScoreOptions&);

// The attributes that scores use: one of weight 0 is only reported.
std::vector<std::string> weighted(const ScoreOptions&);

// Whether the criterion reads the groups of at least one attribute.
bool reads_groups(const ScoreOptions&);

// Divided by the set's mean |value|, so that sets can be compared.
SetScores over_mean(SetScores values);

}  // namespace fp
