#include "engine/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/elements.h"
#include "engine/parallel/agree.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr const char* kGroupDroTensor = "group_dro.q";  // float64, so that a resumed run has the same bits

// One per row; rows of padding have 0. None where there are no weights.
std::vector<float> constant_weights(const std::vector<float>& by_sample, const Batch& batch) {
    std::vector<float> out;
    if (by_sample.empty()) return out;
    for (const int64_t sample : batch.samples) out.push_back(sample < 0 ? 0 : by_sample[size_t(sample)]);
    return out;
}

// The first row of the tape that holds a number that is not finite.
std::string first_not_finite(const Tape& tape) {
    const Kernels& k = tape.kernels();
    for (const Node& node : tape.nodes()) {
        if (!node.value) continue;
        for (const double v : read_activations(k, node.value.data, 0, node.value.map.stored()))
            if (!std::isfinite(v)) return text(name(node.op), node.layer.empty() ? "" : " ", node.layer);
    }
    return "the loss";
}

// How many rows of the logits, which lie as `map` says, are largest at their label.
int count_correct(const void* logits, Type type, const Map& map, const std::vector<int32_t>& labels) {
    int correct = 0;
    for (int n = 0; n < map.n; ++n) {
        int best = 0;
        const auto value = [&](int c) { return element(logits, type, map.at(n, c, 0, 0)); };
        for (int c = 1; c < map.c; ++c)
            if (value(c) > value(best)) best = c;
        correct += labels[n] >= 0 && best == labels[n];
    }
    return correct;
}

}  // namespace

Trainer::Trainer(Network& network, const Preprocessing& preprocessing, const TrainerOptions& options)
    : network_(network),
      options_(options),
      session_(network),
      input_(network.kernels(), preprocessing),
      entropy_(network.kernels(), network.spec.classes, options.class_weights, options.smoothing),
      rounded_(network.params),
      optimizer_(network.params, options.optimizer),
      results_(network.kernels().streams) {
    if (options_.weights.eta > 0) dro_.emplace(options_.weights.eta, options_.weights.cells);
    if (options_.ranks && !options_.ranks->alone())
        exchange_ =
            std::make_unique<RankExchange>(network, *options_.ranks,
                                           RankExchangeOptions{.bucket_bytes = options_.bucket_bytes,
                                                               .sync_norms = options_.sync_norms,
                                                               .watch_gradients = options_.optimizer.clip_norm > 0});
    for (auto& of_slot : graphs_)
        for (auto& graph : of_slot) graph = std::make_unique<StepGraph>(session_, StepGraph::Reads::parameters);
    if (!has_average()) return;
    const Memory& memory = network.kernels().memory;
    for (const Averages& a : averages()) {
        a.average.grow(memory, std::max<size_t>(a.bytes, 1));
        memory.copy(a.average.data(), a.now, a.bytes, {});
    }
}

std::array<Trainer::Averages, 2> Trainer::averages() {
    const ParamStore& p = network_.params;
    const auto all = [&](par* now, Buffer& average, int64_t count) {
        return Averages{now, average, count, size_t(count) * bytes_of(network_.kernels().parameter)};
    };
    return {all(p.values(), average_[0], p.trained_count()), all(p.statistics(), average_[1], p.statistics_count())};
}

void Trainer::forward(Step& step) {
    step.rounded.emplace(rounded_);
    step.tape.reset(new Tape(session_.begin(step.options)));
    const Var images = input_.images(*step.tape, step.slot, step.batch.n);
    step.logits = network_.forward(*step.tape, images);
    const float* weights = dro_ ? device_weights_.as<float>() : input_.weights(step.slot);
    step.loss = cross_entropy(*step.tape, step.logits, input_.labels(step.slot), entropy_, weights);
    results_.fetch(*step.tape, step.logits, step.loss, bool(options_.weights));
}

// GroupDRO's weights, which depend on the losses of this very batch.
void Trainer::weigh(Step& step) {
    const std::vector<double> losses = losses_of(step);
    if (losses.empty()) return;
    step.weights = dro_->weigh(step.batch, losses);
    put_weights(step);
}

// By row; none where they are not finite, which finish() explains.
std::vector<double> Trainer::losses_of(const Step&) {
    results_.there.wait();
    return std::isfinite(results_.loss()) ? results_.losses(network_.kernels().parameter) : std::vector<double>();
}

void Trainer::put_weights(Step& step) {
    std::copy(step.weights.begin(), step.weights.end(), host_weights_.as<float>());
    network_.kernels().memory.copy_in(device_weights_.data(), host_weights_.as<void>(),
                                      step.weights.size() * sizeof(float), {});
}

void Trainer::backward(Step& step) {
    std::vector<Tape::Seed> seeds{{step.loss.row}};
    if (options_.penalty) step.penalty = options_.penalty.add(*step.tape, step.batch, seeds);
    step.tape->backward(seeds);
}

Trainer::Step Trainer::begin(const Batch& batch, uint64_t place) {
    check_weights();
    std::vector<float> weights = constant_weights(options_.weights.of, batch);
    if (dro_) {
        device_weights_.grow(network_.kernels().memory, size_t(batch.n) * sizeof(float));
        host_weights_.grow(network_.kernels().memory, size_t(batch.n) * sizeof(float));
    }
    const int slot = input_.upload(batch, weights);
    return {.batch = batch,
            .slot = slot,
            .options = {.mode = options_.fixed_features ? Mode::eval : Mode::train,
                        .dropout_key = key_of(options_.seed, place),
                        .rows = options_.penalty.rows,
                        .accumulate = pending_ > 0},
            .weights = std::move(weights)};
}

// The device gets the whole step at once; the host waits for the loss alone, which is known long before
// backward is done, so that the device has work while the host looks at it.
Sums Trainer::batch(const Batch& batch, double lr, uint64_t place, bool last) {
    FP_CHECK(!exchange_, "trainer: with several ranks a batch is part of a round");
    Step step = begin(batch, place);
    using Part = StepGraph::Part;
    graphs_[step.slot][step.options.accumulate]->run({.n = batch.n, .at = input_.addresses(step.slot)},
                                                     {{Part::device, [&] { forward(step); }},
                                                      {Part::host, [&] { results_.there.record({}); }},
                                                      {options_.penalty || dro_ ? Part::both : Part::device, [&] {
                                                           if (dro_) weigh(step);
                                                           backward(step);
                                                       }}});
    const Sums sums = finish(step);
    network_.batches_seen += !options_.fixed_features;
    network_.params.touch();  // the norms' running statistics have moved
    pending_of_all_ = pending_;
    if (last || pending_ == options_.accumulate) update(lr);
    return sums;
}

// What the host reads of a step, once its work is queued.
Sums Trainer::finish(Step& step) {
    step.rounded.reset();
    input_.release(step.slot);
    results_.there.wait();
    if (!exchange_) check_norm();  // of the last update, which was enqueued before
    const double loss = results_.loss();
    if (!std::isfinite(loss)) explain(step, loss);
    const Batch& batch = step.batch;
    FP_REQUIRE(std::isfinite(step.penalty), Exit::diverged, "the penalty is ", step.penalty, " in batch ",
               batch.number);
    ++pending_;
    const int64_t samples = std::count_if(batch.labels.begin(), batch.labels.end(), [](int32_t l) { return l >= 0; });
    return {.loss = loss * double(samples),
            .penalty = step.penalty * double(samples),
            .weighted = weighted_loss(step) * double(samples),
            .samples = samples,
            .correct =
                count_correct(results_.logits.as<void>(), network_.kernels().activation, results_.map, batch.labels)};
}

double Trainer::weighted_loss(const Step& step) const {
    if (step.weights.empty()) return 0;
    const std::vector<double> losses = results_.losses(network_.kernels().parameter);
    const double divisor = results_.sums.as<double>()[1];
    double sum = 0;
    for (size_t i = 0; i < losses.size(); ++i) sum += step.weights[i] * losses[i];
    return divisor > 0 ? sum / divisor : 0;
}

// Runs forward again, from weights that have not moved, to look at each row; without the other ranks.
void Trainer::explain(Step& step, double loss) {
    step.options.of_ranks = nullptr;
    forward(step);
    fail_with(Exit::diverged, "the loss is ", loss, " in batch ", step.batch.number,
              "; the first value that is not finite is in ", first_not_finite(*step.tape),
              ". A lower --lr or --clip-norm may help");
}

void Trainer::Results::fetch(Tape& tape, Var v, const LossRow& loss, bool with_each) {
    const Kernels& k = tape.kernels();
    const Tensor t = tape.value(v);
    map = t.map;
    const size_t bytes = size_t(map.stored()) * bytes_of(k.activation);
    sums.grow(k.memory, 2 * sizeof(double));
    logits.grow(k.memory, bytes);
    k.memory.copy_out_later(sums.as<void>(), loss.sums, 2 * sizeof(double), {});
    k.memory.copy_out_later(logits.as<void>(), t.data, bytes, {});
    if (!with_each) return;
    const size_t each_bytes = size_t(map.n) * bytes_of(k.parameter);
    k.memory.copy_out_later(each.grow(k.memory, each_bytes), loss.losses, each_bytes, {});
}

std::vector<double> Trainer::Results::losses(Type type) const {
    std::vector<double> out;
    for (int n = 0; n < map.n; ++n)
        out.push_back(type == Type::f64 ? each.as<double>()[n] : double(each.as<float>()[n]));
    return out;
}

void Trainer::check_update() const {
    network_.kernels().memory.synchronize({});
    check_norm();
}

void Trainer::check_weights() const {
    if (fault_) std::rethrow_exception(fault_);
}

void Trainer::check_norm() const {
    const double norm = optimizer_.norm();
    if (std::isfinite(norm)) return;
    const std::string what = text("the gradient's norm is ", norm, " in step ", optimizer_.step());
    if (exchange_) throw SharedError({.exit = Exit::diverged, .text = what, .who = exchange_->whose_gradient()});
    fail_with(Exit::diverged, what);
}

void Trainer::update(double lr) {
    optimizer_.apply(network_.params, lr, 1.0 / pending_of_all_);
    pending_ = pending_of_all_ = 0;
    if (options_.l1 > 0) shrink(lr * options_.l1);
    if (!has_average()) return;
    // A short memory at first, so that the start is forgotten: min(ema, (1 + t) / (10 + t)).
    const double t = double(optimizer_.step());
    const double keep = std::min(options_.ema, (1 + t) / (10 + t));
    for (const Averages& a : averages())
        network_.kernels().optimizer.blend(
            a.count, {.keep = keep, .average = static_cast<par*>(a.average.data()), .w = a.now}, {});
}

// The proximal step of an L1 penalty: w <- sign(w) max(|w| - by, 0).
void Trainer::shrink(double by) {
    for (const Param& p : network_.params.all()) {
        if (!p.trained() || p.kind != Param::Kind::linear) continue;
        std::vector<double> w = network_.params.get(p);
        for (double& v : w) v = std::copysign(std::max(std::abs(v) - by, 0.0), v);
        network_.params.set(p, w.data());
    }
}

Trainer::Averaged::Averaged(Trainer& trainer) : trainer_(trainer) { trainer_.swap_average(held_); }

Trainer::Averaged::~Averaged() {
    try {
        trainer_.swap_average(held_);
    } catch (...) {
        trainer_.fault_ = std::current_exception();
    }
}

void Trainer::swap_average(Buffer& held) {
    if (!has_average()) return;
    const Memory& memory = network_.kernels().memory;
    for (const Averages& a : averages()) {
        held.grow(memory, std::max<size_t>(a.bytes, 1));
        memory.copy(held.data(), a.now, a.bytes, {});
        memory.copy(a.now, a.average.data(), a.bytes, {});
        memory.copy(a.average.data(), held.data(), a.bytes, {});
        memory.synchronize({});
    }
    network_.params.touch();
}

void Trainer::adopt_average() {
    if (!has_average()) return;
    const Memory& memory = network_.kernels().memory;
    for (const Averages& a : averages()) memory.copy(a.now, a.average.data(), a.bytes, {});
    memory.synchronize({});
    network_.params.touch();
}

std::vector<TensorEntry> Trainer::save() const {
    FP_CHECK(pending_of_all_ == 0, "trainer: saved between the batches of one step");
    check_weights();
    check_update();
    std::vector<TensorEntry> out;
    const ParamStore& store = network_.params;
    auto add = [&](const std::string& kind, const Param& p, const std::vector<double>& values) {
        const std::vector<float> narrow(values.begin(), values.end());
        out.push_back(tensor_of<float>(kind + p.name, p.file_shape(), narrow));
    };
    for (const Param& p : store.all()) {
        for (int slot = 0; p.trained() && slot < optimizer_.slots(); ++slot)
            add(text("optimizer", slot, "."), p, optimizer_.get(store, p, slot));
        if (has_average()) add("raw.", p, store.get(p));
    }
    const int64_t step = optimizer_.step();
    out.push_back(tensor_of<int64_t>("optimizer.step", {}, std::span(&step, 1)));
    if (dro_) out.push_back(tensor_of<double>(kGroupDroTensor, {int64_t(dro_->q().size())}, dro_->q()));
    return out;
}

void Trainer::load(const std::vector<TensorEntry>& tensors) {
    const ParamStore& store = network_.params;
    auto find = [&](const std::string& name, const std::vector<int64_t>& shape) -> const TensorEntry& {
        const auto entry = std::ranges::find(tensors, name, &TensorEntry::name);
        FP_REQUIRE(entry != tensors.end(), Exit::model, "training state: ", name, " is missing");
        FP_REQUIRE(entry->shape == shape, Exit::model, "training state: ", name, " has another shape than the model's");
        return *entry;
    };
    auto values = [&](const std::string& kind, const Param& p) {
        const std::vector<float> narrow = as_f32(find(kind + p.name, p.file_shape()));
        return std::vector<double>(narrow.begin(), narrow.end());
    };
    for (const Param& p : store.all()) {
        for (int slot = 0; p.trained() && slot < optimizer_.slots(); ++slot)
            optimizer_.set(store, p, slot, values(text("optimizer", slot, "."), p));
        if (has_average()) network_.params.set(p, values("raw.", p).data());
    }
    optimizer_.set_step(values_of<int64_t>(find("optimizer.step", {}))[0]);
    if (dro_) dro_->set_q(values_of<double>(find(kGroupDroTensor, {int64_t(dro_->q().size())})));
}

}  // namespace fp
