// The library by itself: trains a classifier, removes channels that carry an attribute, fine-tunes what is left, and
// compares both models on the test split.
#include <fmt/format.h>

#include "engine/report/prune_report.h"
#include "engine/run/device.h"
#include "engine/train/train.h"
#include "models/models.h"

int main() {
    const fp::Kernels& device = fp::use_device({.device = "cpu"});
    const fp::ImageData data =
        fp::open_images("synth:n=400,size=32,classes=3,groups=2,bias=0.9,seed=1", {.image_size = 32});
    const auto net = fp::models::build({.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.125}, device);
    fp::train(*net, {.image_size = 32}, data, fp::fit_options({.epochs = 2}, {"group"}, 32, 1, data.set),
              {.folder = "dense"});

    const fp::LoadedModel dense = fp::read_checkpoint("dense/best.safetensors", fp::models::all(), device);
    const fp::PruneSettings settings{.attributes = {"group"},
                                     .score = {.layers = "all"},
                                     .choose = {.amount = "20%"},
                                     .tune = {.epochs = 1},
                                     .batch_size = 32};
    const fp::PruneResult pruned = fp::prune(dense, data, settings, "pruned");
    const fp::TestResult test = fp::compare_on_test(fp::Baseline(dense, data, settings), pruned.best);

    fmt::print("{} channels removed. {}\n", pruned.kept().channels, fp::verdict_of(test).summary);
    if (test.reads.value().count) fmt::print("{}\n", fp::sentence(*test.reads));
    return pruned.kept().channels > 0 && test.comparison.samples > 0 ? 0 : 1;
}
