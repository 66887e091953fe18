#include "engine/io/nearest.h"

#include <algorithm>

namespace fp {

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    const auto distance = [word = word.substr(0, 64)](std::string_view other) {
        // Optimal string alignment: d[i][j] is the distance of word's first i letters from other's first j.
        std::vector d(word.size() + 1, std::vector<size_t>(other.size() + 1));
        for (size_t i = 0; i <= word.size(); ++i)
            for (size_t j = 0; j <= other.size(); ++j) {
                d[i][j] = i + j;  // where one of them is empty
                if (i == 0 || j == 0) continue;
                d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (word[i - 1] != other[j - 1])});
                if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1])
                    d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        return d[word.size()][other.size()];
    };
    return *std::ranges::min_element(candidates, {}, distance);
}

}  // namespace fp
