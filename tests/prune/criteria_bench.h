// A small network on generated images, and its loss moved by finite differences, for tests of criteria.
#pragma once

#include "engine/core/loss.h"
#include "engine/prune/score.h"
#include "tests/network_values.h"
#include "tests/synth_images.h"

namespace fp::testing {

constexpr int kCriteriaSize = 32;

struct CriteriaBench {
    explicit CriteriaBench(const ModelSpec& spec, const std::string& data = "synth:n=20,size=32,classes=3")
        : net(random_network(spec, kernels(Backend::reference_f64), 5)),
          images(synth_images(data, kCriteriaSize)),
          rows(trace_of(spec, kCriteriaSize)),
          sets(channel_sets(rows.nodes)) {
        std::erase_if(sets, [](const ChannelSet& set) { return !set.prunable; });
    }

    Scoring scoring(Session& session, const ScoreOptions& options, const std::vector<int64_t>& samples = {}) const {
        return {.session = session,
                .preprocessing = preprocessing,
                .data = images,
                .options = options,
                .sets = sets,
                .layers = {},
                .samples = samples};
    }
    // What a criterion of the weights gives before it is divided by anything.
    SetScores values(const char* criterion, uint64_t seed = 1) const {
        Session session(*net);
        const ScoreOptions options{.criterion = criterion, .seed = seed};
        ChannelScores out;
        options.criterion->score(scoring(session, options), out);
        return out.sets;
    }
    ChannelScores score(const ScoreOptions& options) const {
        Session session(*net);
        return score_channels(session, preprocessing, images, rows.nodes, options);
    }
    // The mean loss over the samples in evaluation mode.
    double loss(const std::vector<int64_t>& samples) const {
        Session session(*net);
        Loader loader(images.source, images.labels(),
                      {.batch_size = int(samples.size()), .image_size = kCriteriaSize, .workers = 1});
        loader.start(samples, 0);
        Batch batch;
        loader.next(batch);
        DeviceInput input(net->kernels(), preprocessing);
        Tape tape = session.begin({.mode = Mode::eval});
        const Var y = net->forward(tape, input(tape, batch));
        const CrossEntropy entropy(net->kernels(), net->spec.classes);
        return mean_loss(tape, cross_entropy(tape, y, batch.labels, entropy));
    }
    // d loss / d t where `move(t)` moves the parameters.
    double slope(const std::vector<int64_t>& samples, const std::function<void(double)>& move) const {
        constexpr double kStep = 1e-5;
        move(kStep);
        const double above = loss(samples);
        move(-kStep);
        const double below = loss(samples);
        move(0);
        return (above - below) / (2 * kStep);
    }
    // The channel's rows of these parameters times 1 + t.
    double slope_of_scaling(const std::vector<int64_t>& samples,
                            const std::vector<std::string>& params,
                            int channel) const {
        std::map<std::string, std::vector<double>> before;
        for (const auto& name : params) before[name] = net->params.get(*net->params.find(name));
        return slope(samples, [&](double t) {
            for (const auto& [name, old] : before) {
                const Param& p = *net->params.find(name);
                std::vector<double> now = old;
                const int64_t row = p.count() / p.shape.k;
                for (int64_t i = channel * row; i < (channel + 1) * row; ++i) now[i] *= 1 + t;
                net->params.set(p, now.data());
            }
        });
    }
    // sum over the channel's theta of (theta d loss / d theta)^2
    double sum_of_squares(const std::vector<int64_t>& samples, const ChannelSet& set, int channel) const {
        double sum = 0;
        for (const std::string& name : set.rows) {
            const Param& p = *net->params.find(name);
            if (!p.trained()) continue;
            const std::vector<double> old = net->params.get(p);
            const int64_t row = p.count() / p.shape.k;
            for (int64_t i = channel * row; i < (channel + 1) * row; ++i) {
                const double change = slope(samples, [&](double t) {
                    std::vector<double> now = old;
                    now[i] *= 1 + t;
                    net->params.set(p, now.data());
                });
                sum += change * change;
            }
        }
        return sum;
    }

    std::unique_ptr<Network> net;
    Preprocessing preprocessing{.image_size = kCriteriaSize};
    ImageData images;
    Trace rows;
    std::vector<ChannelSet> sets;
};

inline const ModelSpec kResNet{.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.03125};
inline const ModelSpec kVgg{.arch = "vgg11", .classes = 3, .width = 0.03125};

}  // namespace fp::testing
