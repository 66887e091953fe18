#include "tools/training.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/data/attributes.h"

namespace fp {
namespace {

// "none", "flips", "paper", or a list of name=value with + between: "flips+shift=4+cutout=16".
AugmentOptions parse_augment(const std::string& text) {
    AugmentOptions out;
    size_t at = 0;
    while (at <= text.size()) {
        const size_t end = std::min(text.find('+', at), text.size());
        const std::string word = text.substr(at, end - at);
        const size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        char* rest = nullptr;
        const double value =
            equals == std::string::npos ? -1 : std::strtod(word.c_str() + equals + 1, &rest);
        FP_REQUIRE(equals == std::string::npos || (*rest == 0 && value >= 0), Exit::usage,
                   "--augment: `", word, "` has no number");
        const bool given = value >= 0;
        if (word == "none") {
        } else if (word == "paper") {
            out = paper_augmentation();
        } else if (word == "flips") {
            out.flip_across = out.flip_down = 0.5;
        } else if (word == "crop") {
            out.crop = Crop::random;
        } else if (name == "resized-crop") {
            out.crop = Crop::resized;
            if (given) out.least_area = value;
        } else if (name == "shift" && given) {
            out.shift = int(value);
        } else if (word == "autoaugment-cifar10") {
            out.auto_augment = AutoAugment::cifar10;
        } else if (word == "autoaugment-imagenet") {
            out.auto_augment = AutoAugment::imagenet;
        } else if (name == "affine") {
            out.affine = given ? value : 1;
        } else if (name == "colour") {
            out.brightness = given ? value : 32.0 / 255;
            out.saturation = given ? value : 0.5;
        } else if (name == "cutout") {
            out.cutout = 1;
            if (given) out.cutout_side = int(value);
        } else if (name == "erase") {
            out.erase = given ? value : 0.5;
        } else {
            fail_with(
                Exit::usage, "--augment: `", word,
                "` is unknown: none, flips, paper, crop, resized-crop[=AREA], shift=N, "
                "affine[=P], colour[=X], autoaugment-cifar10, autoaugment-imagenet, cutout[=N], "
                "erase[=P], joined by +");
        }
        at = end + 1;
    }
    return out;
}

}  // namespace

void add_training_options(Options& o, TrainingOptions& t, const std::string& prefix) {
    o.heading(prefix.empty() ? "Training" : "Fine-tuning");
    o.add(prefix + "epochs N", t.epochs, "passes over the training split",
          {.low = 0, .high = 100000});
    o.add("lr X", t.schedule.lr, "learning rate", {.low = 0, .high = 1000});
    o.add("final-lr X", t.schedule.final_lr, "where cosine and polynomial end",
          {.low = 0, .high = 1000});
    o.add("schedule NAME", t.schedule.kind, "learning rate by epoch");
    o.add("warmup E", t.schedule.warmup, "epochs of linear rise at the start",
          {.low = 0, .high = 100000});
    o.add("lr-step N", t.schedule.step, "step: epochs between drops", {.low = 1, .high = 100000});
    o.add("milestones N", t.schedule.milestones, "multistep: epochs of the drops, with commas",
          {.low = 0, .high = 100000});
    o.add("lr-gamma X", t.schedule.gamma, "factor of a drop", {.low = 0, .high = 1});
    o.add("lr-patience N", t.schedule.patience,
          "plateau: epochs without a better --select before a drop", {.low = 1, .high = 100000});
    o.add("lr-power X", t.schedule.power, "polynomial's power", {.low = 0, .high = 100});
    o.add("optimizer NAME", t.optimizer.kind, "how gradients change the weights");
    o.add("momentum X", t.optimizer.momentum, "of sgd", {.low = 0, .high = 1});
    o.add("nesterov", t.optimizer.nesterov, "Nesterov's momentum");
    o.add("weight-decay X", t.optimizer.weight_decay, "L2 penalty (sgd), decoupled (adamw)",
          {.low = 0, .high = 10});
    o.add("decay-all", t.optimizer.decay_all, "decay norms and biases too");
    o.add("clip-norm X", t.optimizer.clip_norm, "largest L2 norm of the gradient; 0 is none",
          {.low = 0});
    o.add("sampler NAME", t.sampler,
          "how an epoch draws samples; groups are of the first --attribute");
    o.add("class-weights NAME", t.class_weights, "of the loss: none or balanced");
    o.add("label-smoothing X", t.label_smoothing, "share of the target spread over all classes",
          {.low = 0, .high = 1});
    o.add("augment LIST", t.augment,
          "none, flips, paper, or crop, resized-crop, shift=N, affine, colour, "
          "autoaugment-cifar10, autoaugment-imagenet, cutout=N, erase joined by +");
    o.add("snnl-weight X", t.snnl.weight,
          "penalty on layers whose channels tell the groups of --attribute; 0 is none",
          {.low = 0, .high = 1e6});
    o.add("snnl-layers NAME", t.snnl.layers, "of the penalty: last, all, or a pattern");
    o.choice<Tap>("snnl-tap NAME", t.snnl.tap,
                  {{"conv", Tap::convolution}, {"norm", Tap::norm}, {"act", Tap::activation}},
                  "where the penalty looks at a layer");
    o.add("snnl-temperature T", t.snnl.temperature, "of the penalty's soft neighbours",
          {.low = 1e-3, .high = 1e6});
    o.choice<bool>("snnl-given NAME", t.snnl.given_class, {{"none", false}, {"class", true}},
                   "class: the penalty compares samples of one class only");
    o.add("ema X", t.ema, "decay of averaged weights, which are then the model; 0 is none",
          {.low = 0, .high = 1});
    o.add("accumulate N", t.accumulate, "batches a step", {.low = 1, .high = 10000});
    o.add("select NAME", t.select,
          "best epoch by loss, accuracy, balanced_accuracy, macro_f1, macro_auc, worst:ATTRIBUTE "
          "or GAP:ATTRIBUTE, on "
          "validation");
    o.add("workers N", t.workers,
          "threads that decode images; 0 is one a core, fewer once all are decoded",
          {.low = 0, .high = 1024});
    o.add("skip-bad", t.skip_bad, "leave out images that cannot be read, instead of stopping");
    o.add("limit-batches N", t.limit_batches, "of an epoch, for trying things out; 0 is all",
          {.low = 0});
    o.add("tensorboard", t.tensorboard, "write the metrics for TensorBoard too");
    for (const char* name : {"workers", "skip-bad", "tensorboard"}) o.keeps_bits(name);
}

FitOptions fit_options(const TrainingOptions& t,
                       const DataOptions& data,
                       uint64_t seed,
                       const Dataset& set) {
    FP_REQUIRE(t.class_weights == "none" || t.class_weights == "balanced", Exit::usage,
               "--class-weights `", t.class_weights, "` is neither none nor balanced");
    const std::vector<std::string> names = plain_names(data.attributes);
    FitOptions f{.epochs = t.epochs,
                 .batch_size = data.batch_size,
                 .workers = t.workers,
                 .skip_bad = t.skip_bad,
                 .seed = seed,
                 .sampling = *t.sampler,
                 .sampling_attribute = names.empty() ? "" : names[0],
                 .schedule = t.schedule,
                 .trainer = {.optimizer = t.optimizer,
                             .smoothing = t.label_smoothing,
                             .accumulate = t.accumulate,
                             .ema = t.ema,
                             .seed = seed},
                 .augment = parse_augment(t.augment),
                 .attributes = names,
                 .select = t.select,
                 .limit_batches = t.limit_batches};
    if (t.class_weights == "balanced") f.trainer.class_weights = balanced_class_weights(set);
    if (t.snnl.weight > 0) {
        std::vector<PenaltyAttribute> attributes;
        for (const auto& [name, weight] : weighted_attributes(data.attributes)) {
            if (weight == 0) continue;
            const Grouping g = group_by(set, name);
            require_comparable(g);
            attributes.push_back({name, {g.of.begin(), g.of.end()}, weight});
        }
        f.trainer.penalty = snnl_penalty(t.snnl, attributes);
    }
    return f;
}

nlohmann::ordered_json to_json(const TrainingOptions& t) {
    nlohmann::ordered_json out{{"epochs", t.epochs},
                               {"lr", t.schedule.lr},
                               {"schedule", t.schedule.kind->name},
                               {"optimizer", t.optimizer.kind->name},
                               {"sampler", t.sampler->name},
                               {"augment", t.augment},
                               {"ema", t.ema}};
    if (t.snnl.weight > 0)
        out["snnl"] = {{"weight", t.snnl.weight},
                       {"layers", t.snnl.layers},
                       {"tap", name(t.snnl.tap)},
                       {"temperature", t.snnl.temperature},
                       {"given_class", t.snnl.given_class}};
    return out;
}

std::string epoch_line(const EpochResult& r, int epochs) {
    const auto number = [](double v) { return std::isfinite(v) ? v : 0.0; };
    return fmt::format(
        "epoch {:>3}/{}  loss {:.4f}  val: loss {:.4f} acc {:.4f} bal {:.4f} f1 {:.4f}{}", r.epoch,
        epochs, number(r.train.loss), number(r.val.loss), number(r.val.metric("accuracy")),
        number(r.val.metric("balanced_accuracy")), number(r.val.metric("macro_f1")),
        r.best ? " *" : "");
}

}  // namespace fp
