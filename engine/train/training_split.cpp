#include "engine/train/training_split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/fairness/grouping.h"
#include "engine/io/columns.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr uint64_t kSubset = 4;  // the first word of the key; others are in fit.cpp

// So many of them, in their order.
std::vector<int64_t> some_of(const std::vector<int64_t>& samples, int64_t count, uint64_t seed) {
    const std::vector<int> labels(samples.size(), 0);  // a plain shuffle does not look at them
    std::vector<int64_t> out;
    for (const int64_t at : epoch_order(Sampling::shuffled, labels, {}, key_of(seed, kSubset), 0))
        if (int64_t(out.size()) < count) out.push_back(samples[size_t(at)]);
    std::ranges::sort(out);
    return out;
}

// "0 (60), test (40)": the splits there are, with their images.
std::string splits_of(const Dataset& data) {
    std::map<std::string_view, int64_t> counts;
    for (const Sample& s : data.samples) ++counts[split_name(s)];
    std::vector<std::string> out;
    for (const auto& [split, count] : counts) out.push_back(text(printable(split), " (", count, ")"));
    return list(out);
}

}  // namespace

int64_t limited(const std::string& limit, int64_t all) {
    std::string_view digits = limit;
    const bool share = digits.ends_with('%');
    if (share) digits.remove_suffix(1);
    const double number = parse_number(digits).value_or(0);
    FP_REQUIRE(number > 0 && (share ? number <= 100 : number == std::floor(number)), Exit::usage, "--limit-train `",
               limit, "` is neither a share like 10% nor a number of images");
    return std::clamp<int64_t>(share ? std::llround(number / 100 * double(all)) : int64_t(std::min(number, 1e15)), 1,
                               std::max<int64_t>(all, 1));
}

TrainingSplit training_split(const ImageData& data, const FitOptions& o) {
    const TrainingSettings& t = o.settings;
    TrainingSplit out{.train = members(data.set, Split::train), .val = members(data.set, Split::val)};
    FP_REQUIRE(!out.train.empty(), Exit::data, data.set.name, ": the training split is empty; there are ",
               splits_of(data.set), "; a split column says train, val and test");
    out.train = some_of(out.train, limited(t.limit_train, int64_t(out.train.size())), o.seed);
    if (t.overfit_batches > 0) {
        const int64_t all = int64_t(out.train.size());
        out.train = some_of(out.train, std::min(t.overfit_batches, all) * o.batch_size, o.seed);
        out.val = out.train;
    }
    FP_REQUIRE(!out.val.empty(), Exit::data, data.set.name, ": the validation split is empty");
    for (const int64_t s : out.train) out.labels.push_back(data.set.samples[size_t(s)].label);
    if (t.sampler->by_group) {
        FP_REQUIRE(!o.attributes.empty(), Exit::usage, "sampling by group needs an --attribute");
        const Grouping g = groups_seen(data.set, o.attributes[0], t.placebo);
        require_comparable(g);
        for (const int64_t s : out.train) out.groups.push_back(g.of[size_t(s)]);
    }
    return out;
}

}  // namespace fp
