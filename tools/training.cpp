#include "tools/training.h"

#include <algorithm>
#include <iostream>

#include "engine/run/signals.h"
#include "engine/train/selection.h"
#include "tools/tools_json.h"

namespace fp {
namespace {

void add_penalty_options(Options& o, SnnlPenaltyOptions& p) {
    o.add("snnl-weight X", p.weight,
          "weight of the penalty on channels that reveal the groups of --attribute; 0 is none",
          {.low = 0, .high = 1e6});
    o.add("snnl-layers NAME", p.layers, "layers of the penalty: last, all, or a pattern");
    add_tap(o, "snnl-tap NAME", p.tap, "where the penalty reads a layer's output");
    o.add("snnl-temperature T", p.temperature, "temperature of the penalty", {.low = 1e-3, .high = 1e6});
    add_given(o, "snnl-given NAME", p.given_class, "class: the penalty compares samples of one class only");
}

// Of learning by group, beside the sampler and the penalty.
void add_group_options(Options& o, TrainingSettings& t) {
    o.add("sample-weights NAME", t.sample_weights,
          "weights of the samples' losses by class and group of the first --attribute");
    o.add("group-dro ETA", t.group_dro.eta,
          "GroupDRO (Sagawa et al., ICLR 2020, https://arxiv.org/abs/1911.08731): step size of the groups' weights, "
          "which grow where a group's loss is large; the paper has 0.01, with --sampler group; 0 is none",
          {.low = 0, .high = 1000});
    o.choice<bool>("robust-over NAME", t.group_dro.by_class, {{"group", false}, {"class-group", true}},
                   "the groups of --group-dro: those of the first --attribute, or every group of every class");
    o.add("placebo SEED", t.placebo,
          "permute the groups that samplers, weights, penalty and scores see among lesions within class; figures keep "
          "the true ones: what this run still changes does not come from the groups");
}

// What has no effect beside other choices.
void add_needs(Options& o, const TrainingSettings& t) {
    const auto scheduled = [&o, &t](std::string_view option, std::vector<std::string_view> by) {
        std::string unless = "without --schedule ";
        for (size_t i = 0; i < by.size(); ++i)
            unless += std::string(i == 0 ? "" : i + 1 == by.size() ? " or " : ", ") + std::string(by[i]);
        o.needs({option}, unless, [&t, by] { return std::ranges::find(by, t.schedule.kind->name) != by.end(); });
    };
    scheduled("final-lr", {"cosine", "polynomial"});
    scheduled("lr-step", {"step"});
    scheduled("milestones", {"multistep"});
    scheduled("lr-gamma", {"step", "multistep", "plateau"});
    scheduled("lr-patience", {"plateau"});
    scheduled("lr-power", {"polynomial"});
    o.needs({"momentum", "nesterov"}, "without --optimizer sgd", [&t] { return t.optimizer.kind->name == "sgd"; });
    o.needs({"decay-all"}, "without --weight-decay", [&t] { return t.optimizer.weight_decay > 0; });
    o.needs({"robust-over"}, "without --group-dro", [&t] { return t.group_dro.eta > 0; });
    o.needs({"snnl-layers", "snnl-tap", "snnl-temperature", "snnl-given"}, "without --snnl-weight",
            [&t] { return t.snnl.weight > 0; });
}

}  // namespace

void add_training_options(Options& o, TrainingSettings& t, const std::string& prefix) {
    o.heading(prefix.empty() ? "Training" : "Fine-tuning");
    o.add(prefix + "epochs N", t.epochs, "passes over the training split", {.low = 0, .high = 100000});
    o.add("lr X", t.schedule.lr, "learning rate", {.low = 0, .high = 1000});
    o.add("final-lr X", t.schedule.final_lr, "where cosine and polynomial end", {.low = 0, .high = 1000});
    o.add("schedule NAME", t.schedule.kind, "learning rate by epoch");
    o.add("warmup E", t.schedule.warmup, "epochs of linear rise at the start", {.low = 0, .high = 100000});
    o.add("lr-step N", t.schedule.step, "step: epochs between drops", {.low = 1, .high = 100000});
    o.add("milestones N", t.schedule.milestones, "multistep: epochs of the drops, with commas",
          {.low = 0, .high = 100000});
    o.add("lr-gamma X", t.schedule.gamma, "factor of a drop", {.low = 0, .high = 1});
    o.add("lr-patience N", t.schedule.patience, "plateau: epochs without a better --select before a drop",
          {.low = 1, .high = 100000});
    o.add("lr-power X", t.schedule.power, "polynomial's power", {.low = 0, .high = 100});
    o.add("optimizer NAME", t.optimizer.kind, "how gradients change the weights");
    o.add("momentum X", t.optimizer.momentum, "of sgd", {.low = 0, .high = 1});
    o.add("nesterov", t.optimizer.nesterov, "Nesterov's momentum");
    o.add("weight-decay X", t.optimizer.weight_decay, "L2 penalty (sgd), decoupled (adamw)", {.low = 0, .high = 10});
    o.add("decay-all", t.optimizer.decay_all, "decay norms and biases too");
    o.add("clip-norm X", t.optimizer.clip_norm, "largest L2 norm of the gradient; 0 is none", {.low = 0});
    o.add("sampler NAME", t.sampler, "how an epoch draws samples; groups are of the first --attribute");
    o.add("class-weights NAME", t.class_weights, "class weights of the loss: none or balanced");
    o.offer("class-weights", "none, balanced");
    add_group_options(o, t);
    o.add("label-smoothing X", t.label_smoothing, "share of the target spread over all classes", {.low = 0, .high = 1});
    o.add("augment LIST", t.augment,
          "none, flips, paper, or crop, resized-crop, shift=N, affine, colour, "
          "autoaugment-cifar10, autoaugment-imagenet, cutout=N, erase joined by +");
    add_penalty_options(o, t.snnl);
    o.add("ema X", t.ema, "decay of averaged weights, which are then the model; 0 is none", {.low = 0, .high = 1});
    o.add("accumulate N", t.accumulate, "batches per step, of each rank", {.low = 1, .high = 10000});
    o.add("sync-bn", t.sync_norms, "batch norms take mean and variance over the batches of all ranks");
    o.add("select NAME", t.select, "validation metric that selects the best epoch: " + selection_words());
    o.offer("select", selection_words());
    o.add("workers N", t.workers, "threads that decode images; 0 is one per core, fewer once all are decoded",
          {.low = 0, .high = 1024});
    add_skip_bad(o, t.skip_bad);
    o.add("limit-batches N", t.limit_batches, "batches per epoch, for trials; 0 is all", {.low = 0});
    o.add("tensorboard", t.tensorboard, "write the metrics for TensorBoard too");
    for (const char* name : {"workers", "skip-bad", "tensorboard"}) o.keeps_bits(name);
    add_needs(o, t);
}

IfRunIsThere OutFlags::if_run_is_there() const {
    FP_REQUIRE(!(resume && force), Exit::usage, "--resume and --force exclude each other");
    return force ? IfRunIsThere::overwrite : resume ? IfRunIsThere::resume : IfRunIsThere::refuse;
}

void add_out_options(Options& o, OutFlags& f, std::string_view what) {
    o.add("out DIR", f.out, what);
    o.add("resume", f.resume, "go on with the run in --out, or start where there is none");
    o.add("force", f.force, "start over in a folder that holds a run");
    for (const char* name : {"out", "resume", "force"}) o.leave_out_of_config(name);
}

void add_tap(Options& o, std::string_view option, Tap& tap, std::string_view help) {
    o.choice<Tap>(option, tap, {{"conv", Tap::convolution}, {"norm", Tap::norm}, {"act", Tap::activation}}, help);
}

void add_given(Options& o, std::string_view option, bool& given_class, std::string_view help) {
    o.choice<bool>(option, given_class, {{"none", false}, {"class", true}}, help);
}

Observer on_stderr(bool quiet) {
    const auto line = std::make_shared<Progress>(stderr_output(quiet));
    return {.say = [line](const std::string& text) { line->say(text); },
            .warn = [line](const std::string& text) { line->warn(text); },
            .progress = [line](const ProgressState& p) { line->update(p); },
            .stop = StopSignals::requested};
}

Caller caller_of(const Options& o) {
    return {.tool = o.tool(),
            .command_line = o.command_line(),
            .config = o.resolved(),
            .settings = o.identity(),
            .ranks = o.rank_notes()};
}

Caller caller_of(const Options& o, const OutFlags& f, std::vector<std::string> reads) {
    if (f.force) reads.push_back(o.config_file());
    Caller out = caller_of(o);
    out.reads = std::move(reads);
    return out;
}

int print(const DryRun& run, const Options& o) {
    std::cout << (o.json() ? json_text(run) : to_text(run));
    return 0;
}

}  // namespace fp
