#include "tools/prune_options.h"

#include <fmt/ranges.h>

#include "tools/training.h"

namespace fp {
namespace {

void add_scoring_options(Options& o, PruneSettings& p) {
    using Definition = SnnlShape::Definition;
    using Distance = SnnlShape::Distance;
    o.heading("Scores");
    o.add("criterion NAME", p.criterion, names_of<Criterion>() + ", or none, which only fine-tunes");
    o.choice<Definition>("snnl NAME", p.snnl.definition,
                         {{"exact", Definition::exact}, {"as-released", Definition::as_released}},
                         "the formula, or what the paper's code computes");
    o.add("temperature T", p.snnl.temperature, "of the soft neighbours", {.low = 1e-6, .high = 1e6});
    o.choice<Distance>("distance NAME", p.snnl.distance,
                       {{"cosine", Distance::cosine}, {"euclidean", Distance::euclidean}},
                       "between two samples' maps of a channel; euclidean is squared");
    o.choice<Tap>("tap NAME", p.tap, {{"conv", Tap::convolution}, {"norm", Tap::norm}, {"act", Tap::activation}},
                  "where a layer is looked at");
    o.add("samples N", p.samples, "calibration images, from the training split; 0 is all", {.low = 0});
    o.add("centre", p.snnl.centred, "subtract the mean map before distances");
    o.choice<bool>("given NAME", p.snnl.given_class, {{"none", false}, {"class", true}},
                   "class: compare samples of one class only");
    o.add("batches N", p.batches, "score blocks of N images and average; 0 is all at once",
          {.low = 0, .high = 1 << 20});
    o.add("permutations N", p.snnl.permutations, "deal the groups anew N times: each score's null, z and p; 0 is none",
          {.low = 0, .high = 10000});
    o.add("protect LAMBDA", p.protect, "keep what tells the class: weight of the class's own score",
          {.low = 0, .high = 1000});
    o.add("learn-weights ETA", p.learn_weights,
          "several attributes: after each round, weigh those up by which groups' losses differ; 0 is "
          "fixed weights",
          {.low = 0, .high = 1000});
    o.add("beta X", p.fairprune.beta, "fairprune: how much the other groups' loss counts", {.low = 0, .high = 1000});
    o.add("protected NAME", p.fairprune.protected_group, "fairprune: the group to keep; the one of the highest loss");
}

void add_removal_options(Options& o, PruneSettings& p) {
    o.heading("Removal");
    o.add("layers NAME", p.layers, "last, all, or a pattern over layer names");
    o.add("amount A", p.amount, "a round's channels: 5, 10%; or what is left: macs:60%, params:60%, latency:60%");
    o.choice<bool>("removal NAME", p.mask, {{"cut", false}, {"mask-as-released", true}},
                   "cut, or, to compare, zero the filters as the paper's code does");
    o.add("min-channels N", p.min_channels, "that every set keeps", {.low = 1, .high = 65536});
    o.add("round-to N", p.round_to, "kept channels are a multiple of this", {.low = 1, .high = 1024});
    o.add("recalibrate N", p.recalibrate,
          "after a cut, batch norm's statistics anew from N batches of training images; 0 is none",
          {.low = 0, .high = 100000});
    o.add("iterations N", p.iterations, "rounds of score, cut, fine-tune, evaluate", {.low = 1, .high = 10000});
    o.add("max-drop X", p.max_drop, "stop once validation balanced accuracy is this far below dense",
          {.low = 0, .high = 1});
    o.add("patience N", p.patience, "stop after so many rounds without a better objective; 0 is never",
          {.low = 0, .high = 10000});
    o.add("objective NAME", p.objective,
          "of the best round, on validation: as --select, rms:ATTRIBUTE too; that of the first "
          "attribute");
    o.add("finetune WHAT", p.finetune, "all, head or norm: what is trained");
}

void add_search_options(Options& o, PruneFlags& f) {
    o.heading("Search");
    o.add("seeds N", f.seeds, "runs of each kind, with --seed and those behind it", {.low = 1, .high = 1000});
    o.add("sweep", f.sweep,
          "--criterion and --amount are lists with commas: every pair is a run; one is chosen on "
          "validation");
    o.add("controls", f.controls, "beside them: the dense model, and a random choice of each amount, tuned alike");
}

}  // namespace

void declare(Options& o, PruneFlags& f) {
    o.add("checkpoint FILE", f.checkpoint, "the trained model");
    o.require("checkpoint");
    o.add("out DIR", f.out, "run folder: models, scores, metrics, report");
    o.leave_out_of_config("out");
    o.add("resume", f.resume, "go on with the run in --out, or start where there is none");
    o.leave_out_of_config("resume");
    o.add("force", f.force, "start over in a folder that holds a run");
    o.leave_out_of_config("force");
    add_compute_options(o, f.compute);
    o.heading("Data");
    add_data_options(o, f.data);
    o.add("cache DIR", f.cache, "keep decoded images in a file there");
    add_scoring_options(o, f.pruning);
    add_removal_options(o, f.pruning);
    o.add("scores-only", f.scores_only, "write scores.json and stop");
    o.add("scores FILE", f.scores, "start from such a file instead of scoring");
    o.add("compare-scores FILE", f.compare_scores,
          "with --scores-only: Kendall's tau between that file's order and ours, and how many of the "
          "--amount lowest are in both");
    o.add("scan SHARES", f.scan,
          "10%,25%,50%: remove that much of one set of tied channels at a time, judge on "
          "validation, and stop");
    o.add("verify", f.pruning.verify, "check that removing equals silencing, and print the largest difference");
    o.add("show-groups", f.show_groups, "print which channels are tied, and stop");
    o.add("seed N", f.pruning.seed, "of calibration samples, the random criterion and fine-tuning");
    add_search_options(o, f);
    add_training_options(o, f.pruning.tune, "finetune-");
    // The dense model's hash is in a run's identity.
    for (const char* name : {"checkpoint", "cache", "verify", "scores-only", "compare-scores", "show-groups"})
        o.keeps_bits(name);
}

void check(const PruneFlags& f) {
    FP_REQUIRE(!f.out.empty(), Exit::usage, "--out is missing");
    FP_REQUIRE(!(f.resume && f.force), Exit::usage, "--resume and --force exclude each other");
    FP_REQUIRE(!f.is_search() || (f.scores.empty() && !f.scores_only), Exit::usage,
               "--scores and --scores-only are of a single run; a search keeps its own");
    FP_REQUIRE(f.compare_scores.empty() || f.scores_only, Exit::usage, "--compare-scores is of --scores-only");
    FP_REQUIRE(f.scan.empty() || !(f.is_search() || f.scores_only || f.pruning.mask || f.pruning.recalibrate > 0),
               Exit::usage, "--scan goes with neither a search, --scores-only, --recalibrate nor masks");
    if (!f.scan.empty()) parse_shares(f.scan);
}

}  // namespace fp
