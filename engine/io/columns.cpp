#include "engine/io/columns.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "engine/io/csv.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Each row: the name in this project, then other names for the same thing, the likeliest first.
const std::vector<std::vector<std::string_view>> kNames = {
    {"image", "image_id", "img_id", "isic_id", "image_path", "path", "filename", "file_name", "file"},
    {"label", "dx", "diagnosis", "diagnostic", "class"},
    {"split", "partition", "subset"},
    {"lesion_id", "lesion"},
    {"patient_id", "patient"},
    {"sex", "gender"},
    {"age", "age_approx", "age_years"},
    {"site", "anatom_site_general", "localization", "region"},
    {"skin_tone", "fitzpatrick_scale", "fitzpatrick", "fitspatrick", "skin_type"},
};

}  // namespace

std::string trimmed(std::string_view value) {
    const size_t first = value.find_first_not_of(" \t"), last = value.find_last_not_of(" \t");
    return first == value.npos ? "" : std::string(value.substr(first, last - first + 1));
}

std::string plain(std::string_view value) {
    std::string word = trimmed(value);
    for (char& c : word)
        if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    return word;
}

int index_of(const std::vector<std::string>& names, std::string_view wanted) {
    const auto found = std::ranges::find(names, wanted);
    return found == names.end() ? -1 : int(found - names.begin());
}

int find_column(const std::vector<std::string>& columns, std::string_view wanted) {
    if (const int exact = index_of(columns, wanted); exact >= 0) return exact;
    for (const auto& names : kNames) {
        if (std::ranges::find(names, wanted) == names.end()) continue;
        for (const std::string_view name : names)
            if (const int found = index_of(columns, name); found >= 0) return found;
    }
    return -1;
}

bool is_unknown(std::string_view value) {
    constexpr std::array<std::string_view, 13> kWords = {"",     "?",   "unknown", "unk",  "na", "n/a", "#n/a",
                                                         "<na>", "nan", "none",    "null", "-1", "-1.0"};
    return std::ranges::find(kWords, plain(value)) != kWords.end();
}

std::string_view as_unknown(std::string_view value, const std::vector<std::string>& words) {
    const auto same = [&](const std::string& word) { return plain(word) == plain(value); };
    return std::ranges::any_of(words, same) ? "unknown" : value;
}

std::vector<int> unit_columns(const std::vector<std::string>& columns) {
    std::vector<int> found;
    for (const char* unit : {"lesion_id", "patient_id"})
        if (const int c = find_column(columns, unit); c >= 0) found.push_back(c);
    return found;
}

std::string unit_of(const Cells& row, const std::vector<int>& unit_columns, const std::string& image) {
    for (const int c : unit_columns)
        if (!is_unknown(row[size_t(c)])) return std::string(row[size_t(c)]);
    return image;
}

std::optional<double> parse_number(std::string_view word) {
    if (word.starts_with('+')) word.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::vector<std::string> sorted_words(const std::set<std::string>& words) {
    std::vector<std::string> sorted(words.begin(), words.end());
    if (std::ranges::all_of(sorted, [](const auto& word) { return parse_number(word).has_value(); }))
        std::ranges::stable_sort(sorted, {}, [](const auto& word) { return *parse_number(word); });
    return sorted;
}

std::string alike(const std::vector<std::string>& names) {
    std::map<std::string, std::string> by_plain;
    for (const std::string& name : names)
        if (const auto [at, is_new] = by_plain.emplace(plain(name), name); !is_new) return at->second + " and " + name;
    return "";
}

std::string list(const std::vector<std::string>& names) {
    constexpr size_t kShown = 20;
    std::string all;
    for (size_t i = 0; i < std::min(names.size(), kShown); ++i) all += (i > 0 ? ", " : "") + names[i];
    return names.size() > kShown ? text(all, " and ", names.size() - kShown, " more") : all;
}

}  // namespace fp
