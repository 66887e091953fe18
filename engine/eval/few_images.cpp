#include "engine/eval/few_images.h"

#include <algorithm>
#include <map>

namespace fp {

ImageData few_images(const ImageData& data, const std::vector<std::string>& attributes, int64_t each) {
    std::vector<Grouping> groupings;
    for (const std::string& a : attributes) groupings.push_back(group_by(data.set, a));
    std::vector<int64_t> chosen;
    for (const Split split : kSplits) {
        std::map<std::vector<int>, std::vector<int64_t>> cells;
        for (const int64_t s : members(data.set, split)) {
            std::vector<int> cell{data.set.samples[size_t(s)].label};
            for (const Grouping& g : groupings) cell.push_back(g.of[size_t(s)]);
            cells[cell].push_back(s);
        }
        int64_t left = each;
        for (size_t turn = 0; left > 0; ++turn) {
            const size_t before = chosen.size();
            for (const auto& [cell, samples] : cells)
                if (turn < samples.size() && left-- > 0) chosen.push_back(samples[turn]);
            if (chosen.size() == before) break;  // the split has no more
        }
    }
    std::ranges::sort(chosen);
    ImageData out = data;
    out.unreadable = nullptr;  // which counts by the numbers of the whole set
    out.set.samples.clear();
    for (const int64_t s : chosen) out.set.samples.push_back(data.set.samples[size_t(s)]);
    out.source = [chosen, read = data.source](int64_t sample, const View& view, int side, uint8_t* rgb) {
        read(chosen[size_t(sample)], view, side, rgb);
    };
    return out;
}

}  // namespace fp
