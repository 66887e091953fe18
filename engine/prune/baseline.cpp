#include "engine/prune/baseline.h"

#include "engine/fairness/grouping.h"

namespace fp {

Baseline::Baseline(const LoadedModel& dense, const ImageData& images, const PruneSettings& settings)
    : model(dense),
      data(images),
      hash(weights_hash(*dense.network)),
      attributes(plain_names(settings.attributes)),
      predict_options{
          .batch_size = settings.batch_size, .workers = settings.tune.workers, .skip_bad = settings.tune.skip_bad} {}

Predictions Baseline::predict_on(Split split,
                                 const Network& net,
                                 const std::function<void(int64_t done, int64_t all)>& progress) const {
    Session session(net);
    PredictOptions options = predict_options;
    options.progress = progress;
    const std::vector<int64_t> samples = members(data.set, split);
    return predict({session, model.card.preprocessing, data, samples, options});
}

const Summary& Baseline::val() const {
    if (!val_) val_ = summarize(predict_on(Split::val, *model.network), attributes);
    return *val_;
}

}  // namespace fp
