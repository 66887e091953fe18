// The settings of a pruning run: how channels are scored, how many are removed, how the rest is fine-tuned.
#pragma once

#include "engine/prune/choose.h"
#include "engine/train/settings.h"

namespace fp {

struct PruneSettings {
    std::vector<std::string> attributes = {};  // "sex", or with a weight "sex=2"
    uint64_t seed = 1;                         // of calibration samples, the random criterion and fine-tuning
    ScoreOptions score = {};                   // a round adds its attributes' weights and its seed (score_options)
    bool placebo_scores = false;               // scores alone by placebo groups, keyed by `seed`
    double learn_weights = 0;                  // step size of learned attribute weights; 0: fixed weights

    // Removal.
    ChooseOptions choose = {};  // in each round
    bool mask = false;          // zero the filters as the paper's code does, instead of cutting
    int recalibrate = 0;        // batches for new statistics of batch norm after a cut; 0: none
    bool verify = false;        // check that removing equals silencing

    // Rounds.
    int iterations = 1;
    int patience = 0;        // rounds without a better objective before it stops; 0: never
    double max_drop = 0.05;  // of validation balanced accuracy below dense, at which it stops
    // Validation metric that selects the best round; empty: rms:ATTRIBUTE of the first attribute.
    std::string objective = {};

    // Fine-tuning after each cut.
    std::string finetune = "all";  // all, head or norm: which parameters are trained
    // Last-layer retraining (https://arxiv.org/abs/2204.02937 ), with `head` alone.
    bool fixed_features = false;  // TrainerOptions::fixed_features
    bool fresh_head = false;      // the head starts from random weights
    double l1 = 0;                // TrainerOptions::l1
    TrainingSettings tune = {.epochs = 2, .schedule = {.lr = 0.01}};
    int batch_size = 128;  // of fine-tuning, scoring and evaluation
};

// The settings with "snnl+as-released+given-class": a criterion, then settings of its own joined by +. The words are
// exact, as-released, given-class, centre, euclidean, mask, tap=NAME, layers=NAME, protect=LAMBDA, temperature=T,
// samples=N, learn=ETA (learn_weights), placebo (placebo_scores); of masks alone (MaskOptions) snnl=WEIGHT, sparsity=LAMBDA, cost=NAME, epochs=N,
// rate=R, sampler=NAME, augment=NAME. Exit::usage for another word.
PruneSettings with_criterion(PruneSettings, const std::string&);

// The seed of the groups that scores see, with tune.placebo or placebo_scores; empty: the true ones.
std::optional<uint64_t> scores_placebo(const PruneSettings&);
// What a run with a placebo says of itself; none where it has none, or where nothing in it reads groups.
std::optional<PlaceboNote> placebo_note(const PruneSettings&);

// The options of scoring in a round (from 0), with the attributes' weights there.
ScoreOptions score_options(const PruneSettings&, const std::map<std::string, double>& weights, int round = 0);
PredictOptions predict_options(const PruneSettings&);

// The metric that selects the best round.
std::string objective_of(const PruneSettings&);

// The lowest balanced accuracy on validation at which a round or a run may be chosen, since a model that gives every
// image the same class has no gap:
//   max(dense - max_drop, chance + (dense - chance) / 2)      chance = 1 / classes
// Infinite, so that nothing is chosen, where the dense model itself is not above chance.
double least_accuracy(double dense_accuracy, int classes, double max_drop);

// "a,b,c" at each separator. Exit::usage, naming the option, where an entry is empty.
std::vector<std::string> split_list(const std::string& text, char separator, const char* option);

}  // namespace fp
