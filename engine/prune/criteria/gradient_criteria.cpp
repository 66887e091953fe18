#include "engine/prune/criteria/gradient_criteria.h"

#include <algorithm>
#include <functional>

#include "engine/core/elements.h"
#include "engine/core/loss.h"
#include "engine/data/placebo.h"
#include "engine/parallel/gather.h"
#include "engine/prune/cut.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr uint64_t kSigns = 0x516e5;

// Multiplies each sample's row by its sign.
void sign_rows(const Kernels& k, const Tensor& x, const std::vector<int64_t>& samples, uint64_t seed) {
    std::vector<double> values = read_activations(k, x.data, 0, x.map.stored());
    const size_t row = values.size() / size_t(x.map.n);
    for (int n = 0; n < x.map.n; ++n)
        if (samples[n] >= 0 && uniform_double(key_of(seed, kSigns), uint64_t(samples[n])) < 0.5)
            for (size_t i = 0; i < row; ++i) values[size_t(n) * row + i] *= -1;
    write_activations(k, x.data, 0, values);
}

// add(c, sum over the row c of term(value, gradient)) for a parameter's channels.
template <class Term, class Add>
void for_each_row(const Network& net, const Param& p, Term term, Add add) {
    const std::vector<double> value = net.params.get(p), gradient = net.params.get_grad(p);
    const int64_t row = p.count() / p.shape.k;
    for (int c = 0; c < p.shape.k; ++c) {
        double sum = 0;
        for (int64_t i = c * row; i < (c + 1) * row; ++i) sum += term(value[i], gradient[i]);
        add(c, sum);
    }
}

SetScores zeros(const std::vector<ChannelSet>& sets) {
    SetScores out;
    for (const ChannelSet& set : sets) out[set.name()].assign(set.channels, 0.0);
    return out;
}

// factor * sum over theta of (theta g)^2 of each channel.
SetScores squares(const Network& net, const std::vector<ChannelSet>& sets, double factor) {
    SetScores out = zeros(sets);
    for (const ChannelSet& set : sets) {
        std::vector<double>& values = out.at(set.name());
        for (const std::string& name : set.rows)
            if (const Param& p = *net.params.find(name); p.trained())
                for_each_row(
                    net, p, [](double v, double g) { return v * v * g * g; },
                    [&](int c, double sum) { values[c] += factor * sum; });
    }
    return out;
}

void divide(SetScores& scores, double by) {
    for (auto& [name, values] : scores)
        for (double& v : values) v /= by;
}

struct Group {
    std::string name;
    std::vector<int64_t> samples;
};

std::vector<Group> by_group(const Grouping& grouping, const std::vector<int64_t>& samples) {
    require_comparable(grouping);
    std::vector<Group> out;
    for (const std::string& name : grouping.groups) out.push_back({name, {}});
    for (const int64_t s : samples)
        if (grouping.of[s] >= 0) out[grouping.of[s]].samples.push_back(s);
    std::erase_if(out, [](const Group& g) { return g.samples.empty(); });
    FP_REQUIRE(out.size() >= 2, Exit::data, "criterion: of ", grouping.name, " only ",
               out.empty() ? "unknown" : out[0].name, " is among the calibration images");
    return out;
}

Grouping grouping_of(const Scoring& s) { return groups_seen(s.data.set, weighted(s.options).at(0), s.options.placebo); }

}  // namespace

std::vector<std::vector<const Param*>> gates(const Network& net, const ChannelSet& set) {
    std::vector<std::vector<const Param*>> norms, filters;
    for (const std::string& name : set.rows) {
        if (!name.ends_with(".weight")) continue;
        const Param& weight = *net.params.find(name);
        std::vector<const Param*> gate{&weight};
        const std::string bias = name.substr(0, name.size() - 6) + "bias";
        if (std::ranges::count(set.rows, bias) > 0) gate.push_back(net.params.find(bias));
        (is_filter(weight) ? filters : norms).push_back(std::move(gate));
    }
    return norms.empty() ? filters : norms;
}

GradientPass for_each_gradient(const Pass& pass,
                               SampleSigns signs,
                               uint64_t seed,
                               const std::function<void(int64_t n)>& visit) {
    const Network& net = pass.network();
    const Kernels& k = pass.kernels();
    FP_REQUIRE(!pass.samples.empty(), Exit::data, "gradients: there are no calibration samples");
    for (const Param& p : net.params.all()) FP_CHECK(p.trainable, "gradients: ", p.name, " is frozen");
    const CrossEntropy entropy(k, net.spec.classes);
    struct BatchLoss {
        int64_t samples;
        double sum;
    };
    std::vector<BatchLoss> own;
    for_each_batch(pass, LastBatch::padded, [&](const Batch& batch, DeviceInput& input) {
        Tape tape = pass.session.begin({.mode = Mode::eval});
        const Var logits = net.forward(tape, input(tape, batch));
        const LossRow loss = cross_entropy(tape, logits, batch.labels, entropy);
        const int64_t n = std::count_if(batch.labels.begin(), batch.labels.end(), [](int32_t l) { return l >= 0; });
        if (n == 0) return;
        own.push_back({n, mean_loss(tape, loss) * double(n)});
        if (signs == SampleSigns::signed_samples)
            tape.on_gradient(logits, [&](const Tensor& gradient) { sign_rows(k, gradient, batch.samples, seed); });
        tape.backward({{loss.row}});
        visit(n);
    });
    GradientPass out;
    for (const BatchLoss& batch : gather_all(pass.ranks(), own)) {
        out.loss += batch.sum;
        out.samples += batch.samples;
        ++out.batches;
    }
    FP_REQUIRE(out.samples > 0, Exit::data, "gradients: no calibration image could be read");
    out.loss /= double(out.samples);
    return out;
}

BatchSum::BatchSum(const Comm& ranks, const std::vector<ChannelSet>& sets) : ranks_(ranks), sum_(zeros(sets)) {}

void BatchSum::add(const SetScores& of_batch) {
    for (const auto& [name, values] : of_batch) {
        if (!ranks_.alone())
            kept_.insert(kept_.end(), values.begin(), values.end());
        else
            std::ranges::transform(sum_.at(name), values, sum_.at(name).begin(), std::plus<>());
    }
}

SetScores BatchSum::sum() const {
    SetScores out = sum_;
    if (ranks_.alone()) return out;
    const std::vector<double> all = gather_all(ranks_, kept_);
    for (auto at = all.begin(); at != all.end();)
        for (auto& [name, values] : out)
            for (double& v : values) v += *at++;
    return out;
}

SetScores taylor_values(const Scoring& s) {
    const Network& net = s.network();
    BatchSum sum(s.options.predict.comm(), s.sets);
    const auto add_batch = [&](int64_t) {
        SetScores own = zeros(s.sets);
        for (const ChannelSet& set : s.sets)
            for (const auto& gate : gates(net, set)) {
                std::vector<double> change(set.channels, 0.0);
                for (const Param* p : gate)
                    for_each_row(
                        net, *p, [](double v, double g) { return v * g; },
                        [&](int c, double of_row) { change[c] += of_row; });
                for (int c = 0; c < set.channels; ++c) own.at(set.name())[c] += change[c] * change[c];
            }
        sum.add(own);
    };
    const GradientPass pass = for_each_gradient(s.pass(s.samples), SampleSigns::alike, s.options.seed, add_batch);
    SetScores out = sum.sum();
    divide(out, double(pass.batches));
    return out;
}

SetScores fairprune_values(const Scoring& s,
                           const Grouping& grouping,
                           const FairPruneOptions& options,
                           std::string& chosen) {
    const std::vector<Group> groups = by_group(grouping, s.samples);
    std::vector<SetScores> saliency;  // 1/2 theta^2 h of each group
    std::vector<double> loss;
    for (const Group& group : groups) {
        BatchSum sum(s.options.predict.comm(), s.sets);
        const auto all = double(group.samples.size());
        // sum_i g_i^2 of a batch of n is n^2 (its signed gradient)^2, on average.
        const GradientPass pass = for_each_gradient(
            s.pass(group.samples), SampleSigns::signed_samples, s.options.seed,
            [&](int64_t n) { sum.add(squares(s.network(), s.sets, 0.5 * double(n) * double(n) / all)); });
        loss.push_back(pass.loss);
        SetScores& own = saliency.emplace_back(sum.sum());
        if (const auto seen = double(pass.samples); seen < all) divide(own, seen / all);  // images were skipped
    }
    auto own = size_t(std::ranges::max_element(loss) - loss.begin());
    if (const std::string& wanted = options.protected_group; !wanted.empty()) {
        const auto found = std::ranges::find(groups, wanted, &Group::name);
        FP_REQUIRE(found != groups.end(), Exit::usage, "--protected ", wanted, " is no group of ", grouping.name,
                   " that has calibration images");
        own = size_t(found - groups.begin());
    }
    chosen = groups[own].name;
    SetScores out = saliency[own];
    for (auto& [name, values] : out)
        for (size_t c = 0; c < values.size(); ++c)
            for (size_t g = 0; g < groups.size(); ++g)
                if (g != own) values[c] -= options.beta * saliency[g].at(name)[c] / double(groups.size() - 1);
    return out;
}

std::vector<int> fairgrape_order(const std::vector<std::vector<double>>& importance) {
    const size_t groups = importance.size(), channels = importance.at(0).size();
    std::vector<double> whole(groups, 0.0), kept(groups, 0.0);
    double all = 0, all_kept = 0;
    for (size_t g = 0; g < groups; ++g)
        for (const double v : importance[g]) {
            whole[g] += v;
            all += v;
        }
    std::vector<int> order;
    std::vector<bool> taken(channels, false);
    while (order.size() < channels) {
        std::vector<double> missing(groups);
        for (size_t g = 0; g < groups; ++g)
            missing[g] = (all > 0 ? whole[g] / all : 0) - (all_kept > 0 ? kept[g] / all_kept : 0);
        const std::vector<double>& own = importance[size_t(std::ranges::max_element(missing) - missing.begin())];
        int best = -1;
        for (size_t c = 0; c < channels; ++c)
            if (!taken[c] && (best < 0 || own[c] > own[best])) best = int(c);
        taken[best] = true;
        order.push_back(best);
        for (size_t g = 0; g < groups; ++g) {
            kept[g] += importance[g][best];
            all_kept += importance[g][best];
        }
    }
    return order;
}

SetScores fairgrape_values(const Scoring& s, const Grouping& grouping) {
    std::vector<SetScores> importance;
    for (const Group& group : by_group(grouping, s.samples)) {
        BatchSum sum(s.options.predict.comm(), s.sets);
        const GradientPass pass = for_each_gradient(s.pass(group.samples), SampleSigns::alike, s.options.seed,
                                                    [&](int64_t) { sum.add(squares(s.network(), s.sets, 1)); });
        divide(importance.emplace_back(sum.sum()), double(pass.batches));
    }
    SetScores out = zeros(s.sets);
    for (auto& [name, values] : out) {
        std::vector<std::vector<double>> of_set;
        for (const SetScores& group : importance) of_set.push_back(group.at(name));
        const std::vector<int> order = fairgrape_order(of_set);
        for (size_t i = 0; i < order.size(); ++i) values[order[i]] = double(order.size() - i);
    }
    return out;
}

namespace criteria {

extern const Criterion taylor{.name = "taylor",
                              .says = "the squared change of the loss without the channel",
                              .paper = "https://arxiv.org/abs/1906.10771",
                              .needs = Needs::images,
                              .score = [](const Scoring& s, ChannelScores& out) { out.sets = taylor_values(s); },
                              .settings = "batch_size"};

extern const Criterion fairprune{.name = "fairprune",
                                 .says = "what helps the other groups more than the --protected one",
                                 .paper = "https://arxiv.org/abs/2203.02110",
                                 .needs = Needs::one_attribute,
                                 .score =
                                     [](const Scoring& s, ChannelScores& out) {
                                         std::string chosen;
                                         out.sets = fairprune_values(s, grouping_of(s), s.options.fairprune, chosen);
                                         out.note = text("the protected group is ", chosen, ", beta ",
                                                         s.options.fairprune.beta);
                                     },
                                 .settings = "beta protected batch_size"};

extern const Criterion fairgrape{
    .name = "fairgrape",
    .says = "what leaves each group its share of importance",
    .paper = "https://arxiv.org/abs/2207.10888",
    .needs = Needs::one_attribute,
    .score = [](const Scoring& s, ChannelScores& out) { out.sets = fairgrape_values(s, grouping_of(s)); },
    .settings = "batch_size"};

}  // namespace criteria

}  // namespace fp
