#include <algorithm>

#include "tools/options.h"

namespace fp {

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    const auto distance = [&](std::string_view other) {
        // Optimal string alignment; row i is the distance of word's first i letters to other's prefixes.
        std::vector<std::vector<size_t>> d(word.size() + 1, std::vector<size_t>(other.size() + 1));
        for (size_t i = 0; i <= word.size(); ++i)
            for (size_t j = 0; j <= other.size(); ++j) {
                if (i == 0 || j == 0) {
                    d[i][j] = i + j;
                    continue;
                }
                const bool same = word[i - 1] == other[j - 1];
                d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + !same});
                if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1])
                    d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        return d[word.size()][other.size()];
    };
    word = word.substr(0, 64);
    return *std::min_element(candidates.begin(), candidates.end(),
                             [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
}

}  // namespace fp
