#include "engine/eval/judged.h"

#include <algorithm>
#include <map>

#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {
namespace {

JudgedSamples chosen(const std::vector<std::string_view>& splits, std::string split, const std::string& source) {
    const auto usual = parse_split(split);
    if (usual) split = name(*usual);
    std::map<std::string_view, int64_t> counts;
    for (const std::string_view s : splits) ++counts[s];
    if (split.empty()) split = counts.size() == 1 ? std::string(counts.begin()->first) : "test";
    JudgedSamples out{.judged = {.split = split.empty() ? "all" : split, .of = int64_t(splits.size())}, .samples = {}};
    for (size_t i = 0; i < splits.size(); ++i)
        if (out.judged.split == "all" || splits[i] == split) out.samples.push_back(int64_t(i));
    out.judged.images = int64_t(out.samples.size());
    std::string there;
    for (const auto& [name, n] : counts)
        there += text(there.empty() ? "" : ", ", name.empty() ? "unnamed" : printable(name), " ", n);
    FP_REQUIRE(!out.samples.empty(), Exit::data, source, ": no image is in the split `", printable(split),
               "`; there are: ", there, " (--split NAME or all)");
    return out;
}

}  // namespace

std::string judged_text(const Judged& j) {
    const std::string seen = j.seen.value_or(0) > 0
                                 ? text("; the model has seen ", j.seen_at_least.value_or(false) ? "at least " : "",
                                        *j.seen, " of them in its training")
                                 : "";
    return text("judging ", j.images, " of ", j.of, " images (", j.split == "all" ? "" : "split ", printable(j.split),
                ")", seen);
}

JudgedSamples judged_samples(const Dataset& data, const std::string& split) {
    std::vector<std::string_view> splits;
    for (const Sample& s : data.samples) splits.push_back(split_name(s));
    JudgedSamples out = chosen(splits, split, data.name);
    out.judged.notes = data.notes;
    if (data.seen) {
        const std::vector<Seen> seen = seen_before(*data.seen, data);
        out.judged.seen = std::ranges::count_if(out.samples, [&](int64_t i) { return seen[size_t(i)] != Seen::no; });
        if (data.seen->may_be_more()) out.judged.seen_at_least = true;
        if (data.seen->earlier_unknown) out.judged.earlier_unknown = true;
    }
    return out;
}

JudgedSamples judged_rows(const Predictions& all, const std::string& split) {
    return chosen({all.split.begin(), all.split.end()}, split, "predictions");
}

}  // namespace fp
