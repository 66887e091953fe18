#include "engine/report/gallery.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "engine/data/augment/resize.h"
#include "engine/data/images.h"

namespace fp {
namespace {

constexpr int kSide = 160;

// What the network sees of an image: its middle square.
std::string thumbnail(const Dataset& set, int64_t sample) {
    Pixels square = black(kSide, kSide);
    fit_centre(read_image(set, sample), kSide, square.rgb.data());
    return encode_png(square);
}

// Rows of mistakes, the surest first; equals in the order of the rows.
std::vector<int64_t> mistakes_of(const Predictions& p) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < p.size(); ++i)
        if (p.pred[size_t(i)] != p.label[size_t(i)]) out.push_back(i);
    std::ranges::stable_sort(out, std::greater(), [&](int64_t i) { return p.row(i)[p.pred[size_t(i)]]; });
    return out;
}

}  // namespace

Gallery gallery_of(const Predictions& p,
                   const ImageData& data,
                   const std::vector<std::string>& attributes,
                   int per_group) {
    Gallery out;
    if (per_group == 0) return out;
    FP_REQUIRE(p.has_probabilities(), Exit::usage, "a gallery of mistakes needs the probabilities of the classes");
    std::unordered_map<std::string_view, int64_t> sample_of;
    for (size_t i = 0; i < data.set.samples.size(); ++i) sample_of[data.set.samples[i].image] = int64_t(i);
    const std::vector<int64_t> mistakes = mistakes_of(p);
    const auto add = [&](const std::string& attribute, const std::string& group, const auto& is_member) {
        Gallery::Group& one = out.groups.emplace_back(Gallery::Group{attribute, group, {}});
        for (const int64_t i : mistakes) {
            if (int(one.mistakes.size()) == per_group) break;
            if (!is_member(i)) continue;
            const size_t row = size_t(i);
            one.mistakes.push_back({.image = p.image[row],
                                    .label = p.classes[size_t(p.label[row])],
                                    .predicted = p.classes[size_t(p.pred[row])],
                                    .probability = p.row(i)[p.pred[row]],
                                    .png = thumbnail(data.set, sample_of.at(p.image[row]))});
        }
    };
    if (attributes.empty()) add("", "", [](int64_t) { return true; });
    for (const std::string& attribute : attributes) {
        const Grouping grouping = group_by(attribute_columns(p), attribute);
        for (int g = 0; g < int(grouping.groups.size()); ++g)
            add(attribute, grouping.groups[size_t(g)], [&](int64_t i) { return grouping.of[size_t(i)] == g; });
    }
    return out;
}

}  // namespace fp
