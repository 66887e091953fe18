// --dry-run: runs every stage on a few images, reports what the real run would do, and deletes its output.
#pragma once

#include "engine/io/fields.h"
#include "engine/prune/loop.h"
#include "engine/train/train.h"

namespace fp {

struct DryRun {
    std::string data = {}, arch = {}, out = {};  // out: the folder that the real run would write to
    int classes = 0, image_size = 0;
    int64_t train = 0, val = 0, test = 0;  // images of the real run
    int64_t parameters = 0;
    double macs = 0;  // of one image
    int64_t runs = 1, rounds = 0, epochs = 0, batches_per_epoch = 0, batch_size = 0;
    int64_t updates = 0;                          // of the weights, in all epochs, rounds and runs
    double seconds = 0;                           // that this took
    int64_t memory_bytes = 0;                     // the process's peak
    int64_t device_bytes = 0;                     // the peak of device memory; 0 where that is the process's
    std::optional<int64_t> parameters_left = {};  // of pruning: after the first cut, by the scores on a few images
};
void fields(maybe_const<DryRun> auto& d, auto& member) {
    member("data", d.data);
    member("classes", d.classes);
    member("train", d.train);
    member("val", d.val);
    member("test", d.test);
    member("model", d.arch);
    member("image_size", d.image_size);
    member("parameters", d.parameters);
    member("parameters_left", d.parameters_left);
    member("macs", d.macs);
    member("runs", d.runs);
    member("rounds", d.rounds);
    member("epochs", d.epochs);
    member("batches_per_epoch", d.batches_per_epoch);
    member("batch_size", d.batch_size);
    member("updates", d.updates);
    member("seconds", d.seconds);
    member("memory_bytes", d.memory_bytes);
    member("device_bytes", d.device_bytes);
    member("out", d.out);
}

// Trains the network for one update and validates it, each on a batch of images. `options` gives the options of a run
// on a data set. One rank does it alone. All errors that the run would begin with are thrown, and those of its first update.
DryRun dry_run(Network&,
               const Preprocessing&,
               const ImageData&,
               const std::function<FitOptions(const Dataset&)>& options,
               const TrainRun&);

// Scores, cuts, fine-tunes for one update and judges, each on a batch of images, once with each criterion of these
// runs.
DryRun dry_run(const Baseline&,
               const std::vector<PruneSettings>& runs,
               const std::filesystem::path& folder,
               IfRunIsThere,
               const PruneStart&);

std::string to_text(const DryRun&);

}  // namespace fp
