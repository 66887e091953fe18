// Timing networks, as a whole and op by op. Several networks take turns in one run, so that other load on the machine
// affects them alike.
#pragma once

#include <memory>

#include "engine/io/steps.h"
#include "engine/measure/layer_costs.h"

namespace fp {

// Uniform in [-1, 1], 65,536 numbers repeated. Zeros would make some arithmetic faster than it is.
Buffer random_elements(const Kernels&, Type, int64_t count);

struct TimingOptions {
    int batch_size = 32;
    int image_size = 64;
    bool train = false;  // a step (forward, loss, backward, update) instead of an inference
    double seconds = 3;  // per network, at least; warm-up excluded
    int min_rounds = 10, most_rounds = 100'000;
    int warm_up_rounds = 3;  // plans, memory, weights
    // Called between rounds with the share that is done, in thousandths; what it throws ends the measurement.
    Steps progress = {};
};

// Seconds of one step or inference: until it is done, until the device had all of its work, and of processor time, of
// all threads of this process.
struct RunTimes {
    double seconds = 0, enqueue = 0, cpu = 0;
};

// Seconds to bring a batch of images of 8 bits to the device, and to fetch its logits: medians of some copies.
struct CopyTimes {
    double in = 0, out = 0;
};

struct MemoryUse {
    size_t weights = 0, gradients = 0,
           optimizer = 0;    // parameters with statistics; the copy in bf16 is of the optimizer
    size_t activations = 0;  // with their gradients and scratch
    size_t images = 0;
    size_t total() const { return weights + gradients + optimizer + activations + images; }
};

// One network with its images (random, never zeros), ready to run again and again.
class TimedNetwork {
public:
    TimedNetwork(Network&, const TimingOptions&);
    ~TimedNetwork();
    RunTimes run_timed();
    double run() { return run_timed().seconds; }
    void enqueue();  // the same, without waiting for it
    CopyTimes copy_times() const;
    // The peak on the device by what it holds, without the memory of prepared filters. Valid
    // after a run.
    MemoryUse memory_use() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Of each round, one list per network. In each round all networks run one after another, starting with network r modulo
// their count in round r.
std::vector<std::vector<RunTimes>> times_in_turns(const std::vector<Network*>& networks, const TimingOptions&);
std::vector<double> seconds_of(const std::vector<RunTimes>&);
// The seconds of times_in_turns().
std::vector<std::vector<double>> time_in_turns(const std::vector<Network*>& networks, const TimingOptions&);

struct TimingSummary {
    double min, mean, median, p90, p95, p99, max, deviation;
};
TimingSummary summarize(std::vector<double> seconds);

// A median and its 95 % interval.
struct Estimate {
    double value, low, high;
};
using Ratio = Estimate;  // of two times
// Of the rounds' ratios a/b, by resampling rounds.
Ratio ratio_of(const std::vector<double>& a, const std::vector<double>& b);

struct ProfileOptions {
    int batch_size = 32;
    int image_size = 64;
    Mode mode = Mode::infer;  // train: forward, loss and backward
    int passes = 5;           // after two to warm up
    Steps progress = {};      // of the passes, as in TimingOptions
};

// One network with its images, profiled again and again.
class ProfiledNetwork {
public:
    ProfiledNetwork(Network&, const ProfileOptions&);
    ~ProfiledNetwork();
    // The rows of one pass with their times and the work of the whole batch. Parameters are those of the layer's own
    // weights: where an inference folds a norm into them, the norm has no row.
    std::vector<LayerCost> pass();

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Each row's fastest time of several passes.
std::vector<LayerCost> profile(Network&, const ProfileOptions&);

// The rows of one of several networks.
struct NamedProfile {
    std::string name;
    std::vector<LayerCost> rows;
};

}  // namespace fp
