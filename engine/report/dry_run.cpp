#include "engine/report/dry_run.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <set>

#include "engine/eval/few_images.h"
#include "engine/io/files.h"
#include "engine/measure/layer_costs.h"
#include "engine/run/signals.h"
#include "engine/train/training_split.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

// A new folder beside the one of the real run, so that the same disk and rights are tried. It is deleted at the end,
// and so is every folder that was made to hold it and is empty then. No signal ends the process before that.
class PassingFolder {
public:
    explicit PassingFolder(const fs::path& beside) : PassingFolder() {  // so that the destructor runs after a throw
        std::string path = (beside.has_filename() ? beside : beside.parent_path()).string() + ".dry-run.XXXXXX";
        const fs::path parent = fs::path(path).parent_path();
        std::error_code error;
        for (fs::path p = parent; !p.empty() && !fs::exists(p, error); p = p.parent_path()) made_.push_back(p);
        if (!parent.empty()) fs::create_directories(parent, error);
        if (error) fail_system(parent, "cannot be made", error.value(), Exit::data);
        if (!mkdtemp(path.data())) fail_system(path, "cannot be made", errno, Exit::data);
        path_ = path;
    }
    ~PassingFolder() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
        for (const fs::path& folder : made_) fs::remove(folder, ignored);
    }
    PassingFolder(const PassingFolder&) = delete;
    PassingFolder& operator=(const PassingFolder&) = delete;

    const fs::path& path() const { return path_; }

private:
    PassingFolder() = default;

    const StopSignals::Unsaved until_deleted_;
    fs::path path_;
    std::vector<fs::path> made_;  // innermost first
};

int64_t most_resident_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return int64_t(usage.ru_maxrss) * 1024;
}

DryRun counts_of(const Network& net, int image_size, const ImageData& data, const TrainingSplit& split) {
    const Totals all = totals(layer_costs(net, image_size));
    return {.data = data.set.name,
            .arch = net.spec.arch,
            .classes = int(data.set.classes.size()),
            .image_size = image_size,
            .train = int64_t(split.train.size()),
            .val = int64_t(split.val.size()),
            .test = int64_t(members(data.set, Split::test).size()),
            .parameters = all.parameters,
            .macs = all.macs};
}

// As fit() counts them.
void count_updates(DryRun& out, const FitOptions& o) {
    const TrainingSettings& t = o.settings;
    out.batch_size = std::min<int64_t>(o.batch_size, out.train);
    out.epochs = t.epochs;
    out.batches_per_epoch = out.train / out.batch_size;
    if (t.limit_batches > 0) out.batches_per_epoch = std::min(out.batches_per_epoch, t.limit_batches);
    out.updates = out.runs * std::max<int64_t>(out.rounds, 1) * t.epochs *
                  ((out.batches_per_epoch + t.accumulate - 1) / t.accumulate);
}

// What is measured at the end.
void finish(DryRun& out, double start) {
    out.seconds = steady_seconds() - start;
    out.memory_bytes = most_resident_bytes();
    out.device_bytes = most_device_bytes();
}

// One update of the weights on what few_images() gives.
TrainingSettings one_update(TrainingSettings t) {
    t.epochs = std::min(t.epochs, 1);
    t.limit_batches = 0;
    t.limit_train = "100%";
    t.overfit_batches = std::min<int64_t>(t.overfit_batches, t.accumulate);
    return t;
}

}  // namespace

DryRun dry_run(Network& net,
               const Preprocessing& preprocessing,
               const ImageData& data,
               const std::function<FitOptions(const Dataset&)>& options,
               const TrainRun& run) {
    const double start = steady_seconds();
    holds_run(run.folder, run.if_run_is_there, run.caller.reads);
    const FitOptions real = options(data.set);
    check_fit(net, preprocessing.image_size, data, real);
    DryRun out = counts_of(net, preprocessing.image_size, data, training_split(data, real));
    out.out = run.folder.string();
    count_updates(out, real);
    const ImageData few = few_images(data, real.attributes, int64_t(real.batch_size) * real.settings.accumulate);
    FitOptions one = options(few.set);
    one.settings = one_update(one.settings);
    const PassingFolder folder(run.folder);
    TrainRun passing = run;
    passing.folder = folder.path();
    passing.if_run_is_there = IfRunIsThere::overwrite;
    passing.save_every = 0;
    passing.max_minutes = 0;
    if (!train(net, preprocessing, few, one, passing).finished) throw Stopped{};
    finish(out, start);
    return out;
}

DryRun dry_run(const Baseline& dense,
               const std::vector<PruneSettings>& runs,
               const fs::path& folder,
               IfRunIsThere if_run_is_there,
               const PruneStart& start) {
    const double begun = steady_seconds();
    holds_run(folder, if_run_is_there, start.caller.reads);
    const PruneSettings& first = runs.at(0);
    const FitOptions tuning = fit_options(first.tune, first.attributes, first.batch_size, first.seed, dense.data.set);
    DryRun out = counts_of(*dense.model.network, dense.image_size(), dense.data, training_split(dense.data, tuning));
    out.out = folder.string();
    out.runs = int64_t(runs.size());
    out.rounds = first.iterations;
    count_updates(out, tuning);
    const ImageData few = few_images(dense.data, dense.attributes, int64_t(first.batch_size) * first.tune.accumulate);
    const Baseline small(dense.model, few, first, dense.observer);
    const PassingFolder passing(folder);
    std::set<std::string_view> seen;
    for (PruneSettings settings : runs) {
        const std::string_view criterion = settings.score.criterion->name;
        if (!seen.insert(criterion).second) continue;
        settings.tune = one_update(settings.tune);
        settings.iterations = 1;
        settings.recalibrate = std::min(settings.recalibrate, 1);
        RunFolder own(passing.path() / criterion, IfRunIsThere::overwrite);
        PruneStart begin = start;
        begin.observer = labelled(start.observer, text("dry run, ", criterion, ": "));
        const auto result = prune(small, settings, own, begin);
        if (!result) throw Stopped{};
        if (!out.parameters_left && settings.score.criterion->score)
            out.parameters_left = result->rounds.at(0).parameters;
    }
    finish(out, begun);
    return out;
}

std::string to_text(const DryRun& d) {
    std::string out = "dry run: this would be done; nothing was kept\n";
    const auto line = [&](const char* what, const std::string& how) { out += fmt::format("{:<9}{}\n", what, how); };
    line("data", fmt::format("{}: {} classes", d.data, d.classes));
    line("images", fmt::format("{} to train, {} to validate, {} to test", d.train, d.val, d.test));
    line("model", fmt::format("{} at {}x{}: {:.2f} M parameters, {:.1f} MMAC per image", d.arch, d.image_size,
                              d.image_size, double(d.parameters) * 1e-6, d.macs * 1e-6));
    if (d.parameters_left)
        line("cut", fmt::format("about {:.2f} M parameters are left by the first", double(*d.parameters_left) * 1e-6));
    if (d.rounds > 0) line("rounds", fmt::format("{} of each of {} runs", d.rounds, d.runs));
    line("steps", fmt::format("{} epochs of {} batches of {} images: {} updates{}", d.epochs, d.batches_per_epoch,
                              d.batch_size, d.updates, d.rounds > 0 ? " in all rounds and runs" : ""));
    line(
        "memory",
        fmt::format("{:.2f} GB{}", double(d.memory_bytes) * 1e-9,
                    d.device_bytes > 0 ? fmt::format(", {:.2f} GB on the device", double(d.device_bytes) * 1e-9) : ""));
    line("time", fmt::format("{:.1f} s for one update and all around it", d.seconds));
    line("out", d.out);
    return out;
}

}  // namespace fp
