#include "engine/measure/stopwatch.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <numeric>
#include <optional>

#include "engine/core/loss.h"
#include "engine/core/rounded_weights.h"
#include "engine/core/step_graph.h"
#include "engine/fairness/intervals.h"
#include "engine/run/progress.h"
#include "engine/train/optimizer.h"
#include "kernels/bf16.h"
#include "kernels/error.h"
#include "kernels/executed.h"
#include "kernels/random.h"

namespace fp {
namespace {

Map image_map(const Kernels& k, int n, int side) {
    return {.n = n, .c = 3, .h = side, .w = side, .block = k.image_block(3)};
}

// The network's input for `map`, about uniform in [-2, 2], with zeros where channels are padded: the same image on
// every device, and random, since zeros make some arithmetic faster than it is.
Buffer random_images(const Kernels& k, const Map& map) {
    std::vector<uint8_t> rgb(size_t(map.logical()));
    for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = uint8_t(mix(i));
    const float constants[6] = {0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.25f};
    const Buffer bytes(k.memory, rgb.size()), normal(k.memory, sizeof(constants));
    k.memory.copy_in(bytes.data(), rgb.data(), rgb.size(), {});
    k.memory.copy_in(normal.data(), constants, sizeof(constants), {});
    Buffer out(k.memory, size_t(map.stored()) * size_t(bytes_of(k.activation)));
    const float* mean = normal.as<float>();
    k.image.normalize(map, {.rgb = bytes.as<uint8_t>(), .mean = mean, .std = mean + 3, .x = out.as<act>()}, {});
    k.memory.synchronize({});
    return out;
}

double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

}  // namespace

Buffer random_elements(const Kernels& k, Type type, int64_t count) {
    Buffer out(k.memory, size_t(count) * size_t(bytes_of(type)));
    const auto fill = [&](auto converted) {
        std::vector<decltype(converted(0.0f))> some(1 << 16);
        for (size_t i = 0; i < some.size(); ++i) some[i] = converted(float(int32_t(mix(i) >> 32)) * 0x1p-31f);
        const size_t whole = some.size() * sizeof(some[0]);
        for (size_t at = 0; at < out.bytes(); at += whole)
            k.memory.copy_in(static_cast<char*>(out.data()) + at, some.data(), std::min(whole, out.bytes() - at), {});
        k.memory.synchronize({});
    };
    if (type == Type::f32) fill([](float v) { return v; });
    if (type == Type::f64) fill([](float v) { return double(v); });
    if (type == Type::bf16) fill([](float v) { return to_bf16(v); });
    return out;
}

struct TimedNetwork::State {
    Network& net;
    TimingOptions options;
    Session session;
    Map map = {};
    Buffer images = {}, labels = {};
    std::unique_ptr<CrossEntropy> entropy = {};
    std::unique_ptr<RoundedWeights> rounded = {};
    std::unique_ptr<OptimizerState> optimizer = {};
    StepGraph graph{session, options.train ? StepGraph::Reads::parameters : StepGraph::Reads::derived};

    void step() {
        std::optional<RoundedWeights::InUse> in_use;
        if (options.train) in_use.emplace(*rounded);
        Tape tape = session.begin({.mode = options.train ? Mode::train : Mode::infer});
        const Var y = net.forward(tape, tape.input({images.as<act>(), map}));
        if (!options.train) return;
        const auto* targets = static_cast<int32_t*>(labels.data());
        tape.backward({{cross_entropy(tape, y, targets, *entropy).row}});
    }
};

TimedNetwork::TimedNetwork(Network& net, const TimingOptions& o)
    : state_(new State{.net = net, .options = o, .session = Session(net)}) {
    State& s = *state_;
    const Kernels& k = net.kernels();
    s.map = image_map(k, o.batch_size, o.image_size);
    s.images = random_images(k, s.map);
    if (!o.train) return;
    s.entropy = std::make_unique<CrossEntropy>(k, net.spec.classes);
    s.rounded = std::make_unique<RoundedWeights>(net.params);
    s.optimizer = std::make_unique<OptimizerState>(net.params, OptimizerOptions{.weight_decay = 0});
    std::vector<int32_t> labels;
    for (int i = 0; i < o.batch_size; ++i) labels.push_back(i % net.spec.classes);
    s.labels = Buffer(k.memory, labels.size() * sizeof(int32_t));
    k.memory.copy_in(s.labels.data(), labels.data(), s.labels.bytes(), {});
    k.memory.synchronize({});
}

TimedNetwork::~TimedNetwork() = default;

MemoryUse TimedNetwork::memory_use() const {
    const State& s = *state_;
    const ParamStore& p = s.net.params;
    const auto size = size_t(bytes_of(s.net.kernels().parameter));
    return {.weights = size_t(p.trained_count() + p.statistics_count()) * size,
            .gradients = size_t(p.trained_count()) * size,
            .optimizer = s.options.train ? s.optimizer->bytes() + s.rounded->bytes() : 0,
            .activations = s.session.bytes(),
            .images = s.images.bytes()};
}

void TimedNetwork::enqueue() {
    State& s = *state_;
    s.graph.run({}, {{StepGraph::Part::device, [&s] { s.step(); }}});
    if (s.options.train) s.optimizer->apply(s.net.params, 0);  // weights stay as they are
}

RunTimes TimedNetwork::run_timed() {
    const double start = steady_seconds(), cpu = processor_seconds();
    enqueue();
    const double enqueued = steady_seconds();
    state_->net.kernels().memory.synchronize({});
    return {.seconds = steady_seconds() - start, .enqueue = enqueued - start, .cpu = processor_seconds() - cpu};
}

CopyTimes TimedNetwork::copy_times() const {
    const State& s = *state_;
    const Memory& memory = s.net.kernels().memory;
    const size_t side = size_t(s.options.image_size), n = size_t(s.options.batch_size);
    std::vector<uint8_t> images(n * side * side * 3);
    std::vector<char> logits(n * size_t(s.net.spec.classes) * size_t(bytes_of(s.net.kernels().activation)));
    const Buffer there(memory, std::max(images.size(), logits.size()));
    const auto median = [&](auto copy) {
        std::vector<double> seconds;
        for (int i = 0; i < 16; ++i) {
            const double start = steady_seconds();
            copy();
            memory.synchronize({});
            if (i > 0) seconds.push_back(steady_seconds() - start);
        }
        return quantile(seconds, 0.5);
    };
    return {.in = median([&] { memory.copy_in(there.data(), images.data(), images.size(), {}); }),
            .out = median([&] { memory.copy_out(logits.data(), there.data(), logits.size(), {}); })};
}

std::vector<double> seconds_of(const std::vector<RunTimes>& runs) {
    std::vector<double> out;
    for (const RunTimes& r : runs) out.push_back(r.seconds);
    return out;
}

std::vector<std::vector<double>> time_in_turns(const std::vector<Network*>& networks, const TimingOptions& o) {
    std::vector<std::vector<double>> out;
    for (const std::vector<RunTimes>& runs : times_in_turns(networks, o)) out.push_back(seconds_of(runs));
    return out;
}

std::vector<std::vector<RunTimes>> times_in_turns(const std::vector<Network*>& networks, const TimingOptions& o) {
    std::vector<std::unique_ptr<TimedNetwork>> runners;
    for (Network* net : networks) runners.push_back(std::make_unique<TimedNetwork>(*net, o));
    const auto report = [&](double share) {
        if (o.progress) o.progress(int64_t(1000 * share), 1000);
    };
    for (auto& r : runners)
        for (int i = 0; i < o.warm_up_rounds; ++i) {
            r->run();
            report(0);
        }
    std::vector<std::vector<RunTimes>> out(networks.size());
    const double start = steady_seconds(), seconds = o.seconds * double(networks.size());
    for (int round = 0; round < o.min_rounds || (steady_seconds() < start + seconds && round < o.most_rounds); ++round)
        for (size_t i = 0; i < runners.size(); ++i) {
            const size_t turn = (i + size_t(round)) % runners.size();
            out[turn].push_back(runners[turn]->run_timed());
            report(std::min({0.999, double(round) / std::max(1, o.min_rounds),
                             (steady_seconds() - start) / std::max(1e-9, seconds)}));
        }
    report(1);
    return out;
}

TimingSummary summarize(std::vector<double> s) {
    FP_CHECK(!s.empty(), "summarize: no timings");
    const double mean = std::accumulate(s.begin(), s.end(), 0.0) / double(s.size());
    double squares = 0;
    for (const double v : s) squares += (v - mean) * (v - mean);
    return {.min = quantile(s, 0),
            .mean = mean,
            .median = quantile(s, 0.5),
            .p90 = quantile(s, 0.9),
            .p95 = quantile(s, 0.95),
            .p99 = quantile(s, 0.99),
            .max = quantile(s, 1),
            .deviation = std::sqrt(squares / double(s.size()))};
}

Ratio ratio_of(const std::vector<double>& a, const std::vector<double>& b) {
    FP_CHECK(a.size() == b.size() && !a.empty(), "ratio: ", a.size(), " and ", b.size(), " rounds");
    std::vector<double> ratio(a.size());
    for (size_t i = 0; i < a.size(); ++i) ratio[i] = a[i] / b[i];
    constexpr int kResamples = 1000;
    std::vector<double> medians(kResamples), drawn(ratio.size());
    for (int r = 0; r < kResamples; ++r) {
        for (size_t i = 0; i < ratio.size(); ++i)
            drawn[i] = ratio[uniform_below(ratio.size(), key_of(7, uint64_t(r)), i)];
        medians[r] = quantile(drawn, 0.5);
    }
    return {quantile(ratio, 0.5), quantile(medians, 0.025), quantile(medians, 0.975)};
}

struct ProfiledNetwork::State {
    Network& net;
    ProfileOptions options;
    Map map;
    Buffer images;
    Session session;
    CrossEntropy entropy;
    std::map<std::string, int64_t> parameters = {};  // by layer

    // What ran of the row's convolution.
    void count_executed(const Node& node, LayerCost& c) const {
        c.executed_macs = c.macs;
        c.executed_backward_macs = c.backward_macs;
        const ConvShape* shape = std::get_if<ConvShape>(&node.op);
        if (!shape) return;
        const auto share = [&](ConvPass pass) { return executed_share(net.kernels(), *shape, pass); };
        const bool train = options.mode == Mode::train;
        const ExecutedShare forward = share(train ? ConvPass::forward : ConvPass::inference);
        c.executed_macs *= forward.share;
        c.implementation = forward.implementation;
        if (!train) return;
        c.executed_backward_macs = c.macs * share(ConvPass::filter_gradient).share;
        if (c.backward_macs > c.macs) c.executed_backward_macs += c.macs * share(ConvPass::input_gradient).share;
    }
};

ProfiledNetwork::ProfiledNetwork(Network& net, const ProfileOptions& o)
    : state_(new State{.net = net,
                       .options = o,
                       .map = image_map(net.kernels(), o.batch_size, o.image_size),
                       .images = random_images(net.kernels(), image_map(net.kernels(), o.batch_size, o.image_size)),
                       .session = Session(net),
                       .entropy = CrossEntropy(net.kernels(), net.spec.classes)}) {
    for (const LayerCost& c : layer_costs(net, o.image_size)) state_->parameters[c.layer] = c.parameters;
}

ProfiledNetwork::~ProfiledNetwork() = default;

std::vector<LayerCost> ProfiledNetwork::pass() {
    State& s = *state_;
    const std::vector<int32_t> labels(size_t(s.options.batch_size), 0);
    Tape tape = s.session.begin({.mode = s.options.mode, .profile = true});
    const Var y = s.net.forward(tape, tape.input({s.images.as<act>(), s.map}));
    if (s.options.mode == Mode::train) tape.backward({{cross_entropy(tape, y, labels, s.entropy).row}});
    tape.read_times();
    std::vector<LayerCost> out = layer_costs(tape.nodes(), s.net.kernels().activation);
    size_t row = 0;
    for (const Node& node : tape.nodes()) {
        if (is<InputOp>(node.op)) continue;
        LayerCost& c = out[row++];
        if (const auto own = s.parameters.find(c.layer); own != s.parameters.end()) c.parameters = own->second;
        s.count_executed(node, c);
    }
    return out;
}

std::vector<LayerCost> profile(Network& net, const ProfileOptions& o) {
    ProfiledNetwork network(net, o);
    std::vector<LayerCost> best;
    for (int pass = -2; pass < std::max(o.passes, 1); ++pass) {
        const std::vector<LayerCost> now = network.pass();
        if (pass <= 0) best = now;
        FP_CHECK(best.size() == now.size(), "profile: the network's rows change from pass to pass");
        for (size_t i = 0; i < best.size(); ++i) {
            best[i].forward_seconds = std::min(best[i].forward_seconds, now[i].forward_seconds);
            best[i].backward_seconds = std::min(best[i].backward_seconds, now[i].backward_seconds);
        }
        if (o.progress) o.progress(pass + 3, std::max(o.passes, 1) + 2);
    }
    return best;
}

}  // namespace fp
