// fp_bench: the speed of models, dense and pruned, which take turns in one run.
#include <iostream>

#include "engine/io/files.h"
#include "tools/bench_report.h"
#include "tools/tools_json.h"
#include "tools/training.h"

namespace fp {
namespace {

constexpr int kLayerPasses = 15;  // the interval of a median leaves out the three fastest and the three slowest

struct BenchFlags {
    ComputeOptions compute;
    std::vector<std::string> checkpoints;
    std::vector<int> batch_sizes{1, 32};
    std::optional<int> image_size;
    std::string trace, report;
    bool train = false, layers = false;
    double seconds = 3;
    int warm_up = 3, rounds = 0;
};

void declare(Options& o, BenchFlags& f) {
    add_compute_options(o, f.compute);
    o.add("checkpoint FILE", f.checkpoints, "a model; may be repeated; speed-ups are over the first");
    o.add("batch-size N", f.batch_sizes, "images per call, separated by commas: 1,32,256", {.low = 1, .high = 65536});
    o.add("image-size N", f.image_size, "side of the images in pixels (default: as the first model was trained)",
          {.low = 1, .high = 16384});
    o.add("train", f.train, "measure a training step instead of an inference");
    o.add("layers", f.layers, "print a row per layer: shape, work, time, and its share of the measured roofline");
    o.add("trace FILE", f.trace, "write a row per layer for Chrome's trace viewer or Perfetto");
    o.add("report FILE", f.report, "write the figures as a page (HTML)");
    o.add("seconds S", f.seconds, "shortest measurement per model and batch size", {.low = 0, .high = 3600});
    o.add("warm-up N", f.warm_up, "calls per model and batch size before those that are measured",
          {.low = 0, .high = 1e6});
    o.add("rounds N", f.rounds, "measure exactly so many calls; 0: by --seconds, at least 10", {.low = 0, .high = 1e6});
    for (const char* name : {"trace", "report"}) o.output_file(name);
    o.needs({"seconds"}, "with --rounds", [&f] { return f.rounds == 0; });
}

Measured measured(Network& network, const std::string& checkpoint, const TimingOptions& timing) {
    TimedNetwork timed(network, timing);
    for (int step = 0; step < 3; ++step) timed.run();  // from the third on nothing is allocated any more
    return {.checkpoint = checkpoint,
            .batch_size = timing.batch_size,
            .memory = timed.memory_use(),
            .copies = timed.copy_times()};
}

// Every model at every batch size, the models of one size in turns.
std::vector<Measured> measure(const std::vector<LoadedModel>& models,
                              const BenchFlags& f,
                              int image_size,
                              const Observer& observer) {
    std::vector<Network*> networks;
    for (const LoadedModel& m : models) networks.push_back(m.network.get());
    std::vector<Measured> out;
    for (const int batch : f.batch_sizes) {
        TimingOptions timing{.batch_size = batch,
                             .image_size = image_size,
                             .train = f.train,
                             .seconds = f.seconds,
                             .warm_up_rounds = f.warm_up,
                             .progress = observer.steps({.what = text("batch size ", batch), .unit = ""})};
        if (f.rounds > 0) timing.min_rounds = timing.most_rounds = f.rounds;
        const auto runs = times_in_turns(networks, timing);
        for (size_t i = 0; i < models.size(); ++i) {
            Measured& m = out.emplace_back(measured(*networks[i], f.checkpoints[i], timing));
            m.runs = runs[i];
            m.summary = summarize(seconds_of(runs[i]));
            m.against_first = ratio_of(seconds_of(runs[0]), seconds_of(runs[i]));
        }
    }
    return out;
}

TimedLayers measure_layers(const std::vector<LoadedModel>& models,
                           const BenchFlags& f,
                           int image_size,
                           const Observer& observer) {
    std::vector<Network*> networks;
    for (const LoadedModel& m : models) networks.push_back(m.network.get());
    return time_layers(networks, f.checkpoints,
                       {.batch_size = f.batch_sizes.back(),
                        .image_size = image_size,
                        .mode = f.train ? Mode::train : Mode::infer,
                        .passes = kLayerPasses},
                       observer.steps({.what = "timing layers", .unit = ""}));
}

int run(const BenchFlags& f, const Options& options) {
    const Kernels& k = use_device(f.compute, options);
    FP_REQUIRE(!f.checkpoints.empty(), Exit::usage, "--checkpoint is missing");
    FP_REQUIRE(!f.batch_sizes.empty(), Exit::usage, "--batch-size is an empty list");
    const Observer observer = on_stderr(options.quiet());
    std::vector<LoadedModel> models;
    for (const std::string& path : f.checkpoints) models.push_back(load_model(path, k));
    const int size = f.image_size.value_or(models[0].card.preprocessing.image_size);
    BenchReport report{.models = {},
                       .measured = measure(models, f, size, observer),
                       .kernels = k,
                       .image_size = size,
                       .layers_batch_size = f.batch_sizes.back(),
                       .train = f.train,
                       .print_layers = f.layers};
    for (size_t i = 0; i < models.size(); ++i) {
        const Network& net = *models[i].network;
        report.models.push_back({f.checkpoints[i], net.spec.arch, totals(layer_costs(net, size))});
    }
    if (f.layers || !f.trace.empty()) report.layers = measure_layers(models, f, size, observer);
    if (!f.trace.empty()) write_file(f.trace, trace_text(report.layers));
    if (!f.report.empty()) write_file(f.report, page_text(report, caller_of(options)));
    std::cout << (options.json() ? json_text(report) : to_text(report));
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::BenchFlags flags;
    return fp::run_tool(
        argc, argv, "Measures the speed of models, dense and pruned, which take turns in one run.",
        [&](fp::Options& o) { fp::declare(o, flags); },
        [&](const fp::Options& o) { return fp::on_first(o, [&] { return fp::run(flags, o); }); });
}
