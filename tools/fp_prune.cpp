// fp_prune: finds the channels that carry a sensitive attribute, removes them, fine-tunes, and shows what
// that did; with --seeds, --sweep and --controls, beside what else could have been done.
#include "tools/prune_command.h"

namespace fp {
namespace {

void declare(Options& o, PruneSettings& s) {
    o.add("checkpoint FILE", s.checkpoint, "the trained model");
    o.require("checkpoint");
    o.add("out DIR", s.out, "run folder: models, scores, metrics, report");
    o.leave_out_of_config("out");
    o.add("resume", s.resume, "go on with the run in --out, or start where there is none");
    o.leave_out_of_config("resume");
    o.add("force", s.force, "start over in a folder that holds a run");
    o.leave_out_of_config("force");
    add_compute_options(o, s.compute);
    o.heading("Data");
    add_data_options(o, s.data);
    o.add("cache DIR", s.cache, "keep decoded images in a file there");
    add_pruning_options(o, s.pruning);
    o.add("scores-only", s.scores_only, "write scores.json and stop");
    o.add("scores FILE", s.scores, "start from such a file instead of scoring");
    o.add(
        "compare-scores FILE", s.compare_scores,
        "with --scores-only: Kendall's tau between that file's order and ours, and how many of the "
        "--amount lowest are in both");
    o.add("scan SHARES", s.scan,
          "10%,25%,50%: remove that much of one set of tied channels at a time, judge on "
          "validation, and stop");
    o.add("verify", s.verify,
          "check that removing equals silencing, and print the largest difference");
    o.add("show-groups", s.show_groups, "print which channels are tied, and stop");
    o.add("seed N", s.seed, "of calibration samples, the random criterion and fine-tuning");
    add_sweep_options(o, s.sweep);
    add_training_options(o, s.tune, "finetune-");
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::PruneSettings s;
    return fp::run_tool(
        argc, argv,
        "Removes the channels that carry a sensitive attribute, fine-tunes, and reports.",
        [&](fp::Options& o) { fp::declare(o, s); },
        [&](const fp::Options& o) { return fp::run_prune(s, o); });
}
