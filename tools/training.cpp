#include "tools/training.h"

namespace fp {

namespace {

void add_penalty_options(Options& o, SnnlPenaltyOptions& p) {
    o.add("snnl-weight X", p.weight, "penalty on layers whose channels tell the groups of --attribute; 0 is none",
          {.low = 0, .high = 1e6});
    o.add("snnl-layers NAME", p.layers, "of the penalty: last, all, or a pattern");
    o.choice<Tap>("snnl-tap NAME", p.tap, {{"conv", Tap::convolution}, {"norm", Tap::norm}, {"act", Tap::activation}},
                  "where the penalty looks at a layer");
    o.add("snnl-temperature T", p.temperature, "of the penalty's soft neighbours", {.low = 1e-3, .high = 1e6});
    o.choice<bool>("snnl-given NAME", p.given_class, {{"none", false}, {"class", true}},
                   "class: the penalty compares samples of one class only");
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
    o.add("class-weights NAME", t.class_weights, "of the loss: none or balanced");
    o.add("label-smoothing X", t.label_smoothing, "share of the target spread over all classes", {.low = 0, .high = 1});
    o.add("augment LIST", t.augment,
          "none, flips, paper, or crop, resized-crop, shift=N, affine, colour, "
          "autoaugment-cifar10, autoaugment-imagenet, cutout=N, erase joined by +");
    add_penalty_options(o, t.snnl);
    o.add("ema X", t.ema, "decay of averaged weights, which are then the model; 0 is none", {.low = 0, .high = 1});
    o.add("accumulate N", t.accumulate, "batches a step", {.low = 1, .high = 10000});
    o.add("select NAME", t.select,
          "best epoch by loss, accuracy, balanced_accuracy, macro_f1, macro_auc, worst:ATTRIBUTE "
          "or GAP:ATTRIBUTE, on "
          "validation");
    o.add("workers N", t.workers, "threads that decode images; 0 is one a core, fewer once all are decoded",
          {.low = 0, .high = 1024});
    o.add("skip-bad", t.skip_bad, "leave out images that cannot be read, instead of stopping");
    o.add("limit-batches N", t.limit_batches, "of an epoch, for trying things out; 0 is all", {.low = 0});
    o.add("tensorboard", t.tensorboard, "write the metrics for TensorBoard too");
    for (const char* name : {"workers", "skip-bad", "tensorboard"}) o.keeps_bits(name);
}

}  // namespace fp
