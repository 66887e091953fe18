// Small trainings by fit(), on one rank and on several.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/parallel/agree.h"
#include "engine/run/checkpoint.h"
#include "engine/train/fit.h"
#include "models/models.h"
#include "tests/expect_error.h"
#include "tests/parallel/thread_ranks.h"

namespace fp::testing {

struct TrainingCase {
    std::string arch = "resnet18", data = "synth:n=70,size=16,classes=2,groups=2,seed=3";
    int image_size = 16, batch_size = 8;
    double width = 0.0625;
    TrainingSettings settings = {.epochs = 2};
    Backend backend = Backend::cpu;
    int64_t bucket_bytes = 3000;  // smaller than many layers
    // What a test changes on a rank, before the trainer is made and once it is.
    std::function<void(int rank, FitOptions&, ImageData&, Network&)> change = {};
};

// What a run leaves on a rank.
struct Outcome {
    bool finished = false;
    std::map<std::string, std::vector<double>> values;  // weights and running statistics, by name
    std::map<std::string, std::vector<float>> momenta;  // and averages
    std::vector<EpochResult> epochs;
    int64_t batches_seen = 0, bytes_sent = 0, saves = 0;
    double q = 0;
};

// A position to go on from.
struct Saved {
    FitPosition position;
    std::vector<TensorEntry> state;
    std::map<std::string, std::vector<double>> values;
    int64_t batches_seen = 0;
};

inline std::map<std::string, std::vector<double>> values_of(const Network& net) {
    std::map<std::string, std::vector<double>> out;
    for (const Param& p : net.params.all()) out[p.name] = net.params.get(p);
    return out;
}

struct RunHooks {
    std::function<bool(int rank)> stop = {};
    const Saved* from = nullptr;
    Saved* to = nullptr;  // of the last save
};

inline Outcome train_case(const TrainingCase& c, const Comm& comm, const RunHooks& hooks = {}) {
    ImageData data = open_images(c.data, {.image_size = c.image_size});
    FitOptions options = fit_options(c.settings, {"group"}, c.batch_size, 1, data.set);
    options.trainer.ranks = &comm;
    options.trainer.bucket_bytes = c.bucket_bytes;
    const auto net = models::build({.arch = c.arch,
                                    .classes = int(data.set.classes.size()),
                                    .stem = c.arch.starts_with("resnet") ? "small" : "imagenet",
                                    .width = c.width},
                                   kernels(c.backend));
    net->initialize(options.seed);
    if (c.change) c.change(comm.rank(), options, data, *net);
    if (hooks.from) {
        for (Param& p : net->params.all()) net->params.set(p, hooks.from->values.at(p.name).data());
        net->batches_seen = hooks.from->batches_seen;
    }
    Trainer trainer(*net, {.image_size = c.image_size}, options.trainer);
    if (hooks.from) trainer.load(hooks.from->state);
    Outcome out;
    FitHooks fit_hooks;
    fit_hooks.epoch = [&](const EpochResult& r) { out.epochs.push_back(r); };
    fit_hooks.save = [&](const FitPosition& position, bool) {
        ++out.saves;
        if (!hooks.to) return;
        hooks.to->state = trainer.save();
        const Trainer::Averaged averaged(trainer);
        hooks.to->position = position;
        hooks.to->values = values_of(*net);
        hooks.to->batches_seen = net->batches_seen;
    };
    if (hooks.stop) fit_hooks.stop = [&] { return hooks.stop(comm.rank()); };
    out.finished = fit(trainer, {.image_size = c.image_size}, data, options,
                       hooks.from ? hooks.from->position : FitPosition{}, fit_hooks);
    out.values = values_of(*net);
    for (const TensorEntry& t : trainer.save())
        if (t.name != "optimizer.step" && t.name != "group_dro.q") out.momenta[t.name] = as_f32(t);
    if (trainer.group_dro()) out.q = trainer.group_dro()->q()[0];
    out.batches_seen = net->batches_seen;
    out.bytes_sent = comm.bytes_sent();
    return out;
}

// Of every rank.
inline std::vector<Outcome> train_on(int ranks, const TrainingCase& c, const RunHooks& hooks = {}) {
    std::vector<Outcome> out{size_t(ranks)};
    run_ranks(ranks, [&](const Comm& comm) { out[size_t(comm.rank())] = train_case(c, comm, hooks); });
    return out;
}

// One rank that takes as many batches for a step as `ranks` do.
inline Outcome accumulated(int ranks, TrainingCase c, const RunHooks& hooks = {}) {
    c.settings.accumulate = ranks;
    return train_case(c, {}, hooks);
}

inline void expect_same_bits(const Outcome& a, const Outcome& b) {
    EXPECT_EQ(a.finished, b.finished);
    EXPECT_EQ(a.values.size(), b.values.size());
    for (const auto& [name, values] : a.values) EXPECT_EQ(values, b.values.at(name)) << name;
    for (const auto& [name, values] : a.momenta) EXPECT_EQ(values, b.momenta.at(name)) << name;
    EXPECT_EQ(a.batches_seen, b.batches_seen);
    EXPECT_EQ(a.q, b.q);
    ASSERT_EQ(a.epochs.size(), b.epochs.size());
    for (size_t i = 0; i < a.epochs.size(); ++i) {
        const EpochResult &x = a.epochs[i], &y = b.epochs[i];
        EXPECT_EQ(x.train.loss, y.train.loss) << i;
        EXPECT_EQ(x.train.accuracy, y.train.accuracy) << i;
        EXPECT_EQ(x.train.samples, y.train.samples) << i;
        EXPECT_EQ(x.train.lr, y.train.lr) << i;
        EXPECT_EQ(x.train.penalty, y.train.penalty) << i;
        EXPECT_EQ(x.train.weighted_loss, y.train.weighted_loss) << i;
        EXPECT_EQ(x.train.q, y.train.q) << i;
        EXPECT_EQ(x.val.loss, y.val.loss) << i;
        EXPECT_EQ(x.selected, y.selected) << i;
        EXPECT_EQ(x.best, y.best) << i;
        EXPECT_EQ(x.weights, y.weights) << i;
    }
}

// The error of every rank that ended with one.
inline std::vector<SharedError> errors_of(int ranks, const TrainingCase& c) {
    std::mutex mutex;
    std::vector<SharedError> out;
    run_ranks(ranks, [&](const Comm& comm) {
        try {
            train_case(c, comm);
        } catch (const SharedError& error) {
            const std::lock_guard lock(mutex);
            out.push_back(error);
        }
    });
    return out;
}

}  // namespace fp::testing
