#include "tools/prune_options.h"

#include "engine/train/selection.h"

namespace fp {
namespace {

std::string criteria_text() {
    std::string out = "the order of removal: ";
    for (const Criterion* c : Criterion::all())
        out += text(c == Criterion::all()[0] ? "" : ", ", c->name, " (", c->says, c->paper.empty() ? "" : "; ",
                    c->paper, ")");
    return out + ". Settings of its own may follow, as in snnl+centre+tap=act or masks+snnl=30+given-class";
}

void add_scoring_options(Options& o, SweepSettings& search) {
    using Definition = SnnlShape::Definition;
    using Distance = SnnlShape::Distance;
    PruneSettings& p = search.base;
    ScoreOptions& s = p.score;
    o.heading("Scores");
    o.add("criterion NAME", search.criterion, criteria_text());
    o.choice<Definition>("snnl NAME", s.snnl.definition,
                         {{"exact", Definition::exact}, {"as-released", Definition::as_released}},
                         "the formula, or what the paper's code computes");
    o.add("temperature T", s.snnl.temperature, "of the soft neighbours", {.low = 1e-6, .high = 1e6});
    o.choice<Distance>("distance NAME", s.snnl.distance,
                       {{"cosine", Distance::cosine}, {"euclidean", Distance::euclidean}},
                       "between two samples' maps of a channel; euclidean is squared");
    add_tap(o, "tap NAME", s.tap, "where a layer's output is read");
    o.add("samples N", s.samples, "calibration images, from the training split; 0 is all", {.low = 0});
    o.add("centre", s.snnl.centred, "subtract the mean map of the images of known group before distances");
    add_given(o, "given NAME", s.snnl.given_class, "class: compare samples of one class only");
    o.add("batches N", s.batches,
          "score blocks of N images and average; 0 is all at once; default: 0, and 128 for --snnl as-released, as the "
          "paper's code",
          {.low = 0, .high = 1 << 20});
    o.add("permutations N", s.snnl.permutations,
          "permute the group labels N times for each score's null, z and p; 0 is none", {.low = 0, .high = 10000});
    o.add("protect LAMBDA", s.protect, "keep what tells the class: weight of the class's own score",
          {.low = 0, .high = 1000});
    o.add("learn-weights ETA", p.learn_weights,
          "with several attributes: after each round, raise the weights of those whose groups' losses differ; 0 is "
          "fixed weights",
          {.low = 0, .high = 1000});
    o.add("beta X", s.fairprune.beta, "fairprune: how much the other groups' loss counts", {.low = 0, .high = 1000});
    o.add("protected NAME", s.fairprune.protected_group,
          "fairprune: the group to protect; default: the one with the highest loss");
}

void add_removal_options(Options& o, SweepSettings& search) {
    PruneSettings& p = search.base;
    o.heading("Removal");
    o.add("layers NAME", p.score.layers, "last, all, or a pattern over layer names");
    o.add("amount A", search.amount, "a round's channels: 5, 10%; or what is left: macs:60%, params:60%, latency:60%");
    o.choice<bool>("removal NAME", p.mask, {{"cut", false}, {"mask-as-released", true}},
                   "cut, or, to compare, zero the filters as the paper's code does");
    o.add("min-channels N", p.choose.min_channels, "channels that every set keeps", {.low = 1, .high = 65536});
    o.add("round-to N", p.choose.round_to,
          "a set keeps a multiple of this; default: shares and costs are rounded to full blocks of the device among "
          "channels that the scores do not tell apart, in --sweep and --controls 1",
          {.low = 1, .high = 1024});
    o.add("recalibrate N", p.recalibrate,
          "recompute batch norm's statistics after a cut, from N batches of training images; 0 is none",
          {.low = 0, .high = 100000});
    o.add("iterations N", p.iterations, "rounds of score, cut, fine-tune, evaluate", {.low = 1, .high = 10000});
    o.add("max-drop X", p.max_drop, "stop once validation balanced accuracy is this far below dense",
          {.low = 0, .high = 1});
    o.add("patience N", p.patience, "stop after so many rounds without a better objective; 0 is never",
          {.low = 0, .high = 10000});
    o.add("objective NAME", p.objective,
          "validation metric that selects the best round, as --select; default: rms of the first --attribute");
    o.offer("objective", selection_words());
    o.add("finetune WHAT", p.finetune, "all, head or norm: which parameters are fine-tuned");
    o.add(
        "fixed-features", p.fixed_features,
        "with --finetune head: the layers below run as in evaluation and keep their statistics. With --fresh-head, "
        "--sampler class-group and --finetune-on val-half this is last-layer retraining (DFR, Kirichenko et al., ICLR "
        "2023, https://arxiv.org/abs/2204.02937)");
    o.add("fresh-head", p.fresh_head, "with --finetune head: the head starts from random weights, by --seed");
    o.add("l1 X", p.l1, "with --finetune head: L1 penalty on the head's weights", {.low = 0, .high = 1000});
}

void add_search_options(Options& o, SweepSettings& f) {
    o.heading("Search");
    o.add("seeds N", f.seeds,
          "tunings of the one network per criterion and amount, with --seed and the seeds after it; for several "
          "trainings: recipes/run --trainings N",
          {.low = 1, .high = 1000});
    o.add("sweep", f.sweep,
          "--criterion and --amount are lists with commas: every pair is a run; one is chosen on "
          "validation");
    o.add("controls", f.controls,
          "also run the controls: the dense model and a random choice of each amount, fine-tuned alike");
}

// Whether one of the criteria that --criterion names, a list with commas where --sweep is given, is so. `none` and
// `random` are controls, which may have the settings of what they control.
bool a_criterion(const SweepSettings& search, const std::function<bool(const Criterion&)>& is_so) {
    const std::vector<std::string> listed =
        search.sweep ? split_list(search.criterion, ',', "--criterion") : std::vector{search.criterion};
    return std::ranges::any_of(listed, [&](const std::string& words) {
        const OneOf<Criterion> one = words.substr(0, words.find('+'));
        return one->name == "none" || one->name == "random" || is_so(*one);
    });
}

bool reads(const Criterion& criterion, const std::string& setting) {
    return (" " + std::string(criterion.settings) + " ").find(" " + setting + " ") != std::string::npos;
}

// What has no effect beside other choices.
void add_needs(Options& o, const PruneFlags& f) {
    const SweepSettings& search = f.search;
    const PruneSettings& p = search.base;
    static constexpr std::pair<std::string_view, const char*> kRead[] = {
        {"snnl", "definition"}, {"temperature", "temperature"},   {"distance", "distance"},  {"tap", "tap"},
        {"centre", "centre"},   {"given", "given_class"},         {"batches", "batches"},    {"protect", "protect"},
        {"beta", "beta"},       {"permutations", "permutations"}, {"protected", "protected"}};
    for (const auto& [option, setting] : kRead) {
        const auto reads_it = [setting = std::string(setting)](const Criterion& c) { return reads(c, setting); };
        std::string readers;
        for (const Criterion* c : Criterion::all())
            if (reads_it(*c)) readers += (readers.empty() ? "" : " or ") + std::string(c->name);
        o.needs({option}, "without --criterion " + readers,
                [&search, reads_it] { return a_criterion(search, reads_it); });
    }
    o.needs({"samples"}, "with a --criterion that reads weights alone",
            [&search] { return a_criterion(search, [](const Criterion& c) { return c.needs != Needs::weights; }); });
    o.needs({"learn-weights"}, "without several --attribute", [&f] { return f.data.attributes.size() > 1; });
    o.needs({"learn-weights", "patience"}, "without --iterations above 1", [&p] { return p.iterations > 1; });
    o.needs({"fixed-features", "fresh-head", "l1"}, "without --finetune head", [&p] { return p.finetune == "head"; });
    o.needs({"compare-scores"}, "without --scores-only", [&f] { return f.scores_only; });
    o.needs({"margin", "gallery"}, "with --scan, --scores-only or --show-groups",
            [&f] { return f.scan.empty() && !f.scores_only && !f.show_groups; });
}

}  // namespace

void declare(Options& o, PruneFlags& f) {
    o.add("checkpoint FILE", f.checkpoint, "the trained model");
    o.require("checkpoint");
    add_out_options(o, f, "run folder: models, scores, metrics, report");
    add_compute_options(o, f.compute);
    o.heading("Data");
    add_data_options(o, f.data);
    o.add("cache DIR", f.cache, "keep decoded images in a file there");
    add_scoring_options(o, f.search);
    add_removal_options(o, f.search);
    o.add("scores-only", f.scores_only, "write scores.json and stop");
    o.add("scores FILE", f.scores, "start from such a file instead of scoring");
    o.add("compare-scores FILE", f.compare_scores,
          "with --scores-only: Kendall's tau between that file's order and the new one, and how many of the "
          "--amount lowest are in both");
    o.add("scan SHARES", f.scan,
          "10%,25%,50%: remove that share of one set of tied channels at a time, evaluate on "
          "validation, and stop");
    o.add("verify", f.search.base.verify, "check that removing equals silencing, and print the largest difference");
    o.add(
        "gallery N", f.gallery,
        "show the N surest mistakes of each group on the test split as images in report.html, which may show patients",
        {.low = 0, .high = 1000});
    o.add(
        "margin LOSS", f.margin,
        "on the test split a loss of accuracy, balanced accuracy, macro-F1 or macro-AUC up to this much counts as none",
        {.low = 0, .high = 1});
    o.add("show-groups", f.show_groups, "print which channels are tied, and stop");
    o.add("dry-run", f.dry_run,
          "check everything, try one round on a few images, print what would be done, keep nothing");
    o.leave_out_of_config("dry-run");
    o.add("seed N", f.search.base.seed, "of calibration samples, the random criterion and fine-tuning");
    add_search_options(o, f.search);
    add_training_options(o, f.search.base.tune, "finetune-");
    o.choice<bool>("finetune-on NAME", f.train_on_val, {{"train", false}, {"val-half", true}},
                   "images to score and fine-tune on: the training split, or half of the validation lesions, drawn by "
                   "--seed, while the other half validates");
    // The dense model's hash is in a run's identity.
    for (const char* name :
         {"checkpoint", "cache", "verify", "gallery", "margin", "scores-only", "compare-scores", "show-groups"})
        o.keeps_bits(name);
    add_needs(o, f);
}

void check(const PruneFlags& f) {
    FP_REQUIRE(!f.out.empty(), Exit::usage, "--out is missing");
    FP_REQUIRE(!f.is_search() || (f.scores.empty() && !f.scores_only), Exit::usage,
               "--scores and --scores-only are for a single run; a search writes scores of its own");
    FP_REQUIRE(
        f.scan.empty() || !(f.is_search() || f.scores_only || f.search.base.mask || f.search.base.recalibrate > 0),
        Exit::usage, "--scan cannot be combined with a search, --scores-only, --recalibrate or masks");
    FP_REQUIRE(!(f.dry_run && f.resume), Exit::usage, "--dry-run and --resume exclude each other");
    if (!f.scan.empty()) parse_shares(f.scan);
}

}  // namespace fp
