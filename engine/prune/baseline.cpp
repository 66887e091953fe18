#include "engine/prune/baseline.h"

#include "engine/core/trace.h"
#include "engine/data/split.h"
#include "engine/fairness/grouping.h"
#include "engine/prune/prune_json.h"
#include "engine/prune/score.h"
#include "engine/train/fit.h"
#include "engine/train/selection.h"

namespace fp {

void record_run(const RunFolder& folder, const Caller& caller, const Baseline& dense) {
    record_settings(folder, caller, dense.kernels());
    if (folder.writes()) write_drawn_split(folder.path(), dense.data.set);
}

Baseline::Baseline(const LoadedModel& dense, const ImageData& images, const PruneSettings& settings, const Observer& to)
    : model(dense),
      data(images),
      hash(weights_hash(*dense.network)),
      attributes(plain_names(settings.attributes)),
      predict_options(fp::predict_options(settings)),
      observer(to) {}

Predictions Baseline::predict_on(Split split, const Network& net, const Steps& progress, const Comm* ranks) const {
    Session session(net);
    PredictOptions options = predict_options;
    options.ranks = ranks;
    options.progress = progress ? progress : observer.brief(text("predicting ", name(split)));
    const std::vector<int64_t> samples = members(data.set, split);
    return predict({session, model.card.preprocessing, data, samples, options});
}

TestReads Baseline::record_test_read(std::vector<std::string> others,
                                     const std::filesystem::path& folder,
                                     const Caller& caller) const {
    others.push_back(hash);
    const TestReads out = fp::record_test_read(
        {.split = test_split(data.set, members(data.set, Split::test)), .models = std::move(others), .folder = folder},
        caller);
    if (!out.fault.empty()) observer.caution(out.fault);
    return out;
}

const Summary& Baseline::val(const Comm* ranks) const {
    if (!val_) val_ = summarize(predict_on(Split::val, *model.network, {}, ranks), attributes);
    return *val_;
}

Ratio Baseline::latency(Network& net, double seconds, int min_rounds, const Steps& progress) const {
    if (net.spec == model.network->spec) return {1, 1, 1};
    const auto times = time_in_turns({&net, model.network.get()},
                                     {.batch_size = predict_options.batch_size,
                                      .image_size = image_size(),
                                      .seconds = seconds,
                                      .min_rounds = min_rounds,
                                      .progress = progress ? progress : observer.brief("measuring latency", "")});
    return ratio_of(times[0], times[1]);
}

double Baseline::least_accuracy(double max_drop) const {
    return fp::least_accuracy(val().metric("balanced_accuracy"), int(model.card.classes.size()), max_drop);
}

void check(const PruneSettings& p, const Baseline& dense) {
    FP_REQUIRE(p.finetune == "all" || p.finetune == "head" || p.finetune == "norm", Exit::usage, "--finetune `",
               p.finetune, "` is not all, head or norm");
    FP_REQUIRE(p.finetune == "head" || !(p.fixed_features || p.fresh_head || p.l1 > 0), Exit::usage,
               "--fixed-features, --fresh-head and --l1 are for --finetune head");
    const ScoreOptions scoring = score_options(p, weighted_attributes(p.attributes));
    check_scoring(scoring);
    FP_REQUIRE(!scores_placebo(p) || p.learn_weights == 0, Exit::usage,
               "--learn-weights reads the true groups of the validation split: it cannot be used with a placebo");
    FP_REQUIRE(!p.placebo_scores || (reads_groups(scoring) && !p.attributes.empty()), Exit::usage, "criterion ",
               p.score.criterion->name, "+placebo: its scores read no groups of an --attribute");
    for (const std::string& attribute : dense.attributes) {
        const Grouping grouping = group_by(dense.data.set, attribute);
        if (reads_groups(scoring)) require_comparable(grouping);
    }
    const Trace rows = trace(*dense.model.network, dense.image_size());
    match_layers(rows.nodes, channel_sets(rows.nodes), p.score.layers);
    if (!p.objective.empty()) check_selection(p.objective, dense.attributes, dense.data, "--objective");
    const FitOptions tuning = fit_options(p.tune, p.attributes, p.batch_size, p.seed, dense.data.set);
    if (p.tune.epochs > 0 && !members(dense.data.set, Split::val).empty())
        check_fit(*dense.model.network, dense.image_size(), dense.data, tuning);
}

Identity identity_of(const Baseline& dense, const PruneSettings& settings, const Caller& caller) {
    Identity out{.settings = caller.settings.empty() ? settings_by_name(settings) : caller.settings};
    out.settings.push_back({"the dense model", dense.hash});
    out.settings.push_back({"--device", std::string(dense.kernels().name)});
    out.add(identity_of(dense.data.set, dense.attributes));
    out.add(identity_of_threads());
    return out;
}

}  // namespace fp
