#include "engine/fairness/grouping.h"

#include <algorithm>
#include <optional>
#include <set>

#include "engine/io/columns.h"
#include "engine/io/nearest.h"
#include "kernels/error.h"

namespace fp {
namespace {

using Values = std::vector<std::string>;

// One factor of a specification: NAME[:CUT]...[?first|?last]
struct Factor {
    std::string column;
    Values cuts;  // as written
    enum class Unknown { apart, first, last } unknown = Unknown::apart;
};

Values parts(std::string_view text, char between) {
    Values found;
    for (size_t end; (end = text.find(between)) != text.npos; text.remove_prefix(end + 1))
        found.emplace_back(text.substr(0, end));
    found.emplace_back(text);
    return found;
}

Factor parse_factor(const std::string& text, const std::string& spec) {
    Factor factor;
    const size_t mark = text.find('?');
    if (mark != text.npos) {
        const std::string word = text.substr(mark + 1);
        FP_REQUIRE(word == "first" || word == "last", Exit::usage, "--attribute ", spec,
                   ": after ? must stand first or last, not '", word, "'");
        factor.unknown = word == "first" ? Factor::Unknown::first : Factor::Unknown::last;
    }
    Values words = parts(text.substr(0, mark), ':');
    factor.column = words.front();
    FP_REQUIRE(!factor.column.empty(), Exit::usage, "--attribute ", spec, ": names no column");
    for (size_t i = 1; i < words.size(); ++i) {
        const auto cut = parse_number(words[i]);
        FP_REQUIRE(cut, Exit::usage, "--attribute ", spec, ": '", words[i], "' is not a number");
        FP_REQUIRE(i == 1 || *parse_number(words[i - 1]) < *cut, Exit::usage, "--attribute ", spec,
                   ": cuts must rise, ", words[i - 1], " then ", words[i]);
        factor.cuts.push_back(words[i]);
    }
    return factor;
}

Grouping by_cuts(const Factor& factor, const Values& values, const AttributeColumns& columns) {
    Grouping grouping;
    const Values& cuts = factor.cuts;
    grouping.groups.push_back("<" + cuts.front());
    for (size_t i = 1; i < cuts.size(); ++i) grouping.groups.push_back(cuts[i - 1] + "-" + cuts[i]);
    grouping.groups.push_back(">=" + cuts.back());
    for (const std::string& value : values) {
        if (is_unknown(value)) {
            grouping.of.push_back(-1);
            continue;
        }
        const auto found = parse_number(trimmed(value));
        const size_t i = grouping.of.size();
        FP_REQUIRE(found, Exit::data, columns.place ? columns.place(i) : text("sample ", i), ": the attribute ",
                   factor.column, " is '", value, "', which is not a number, so it cannot be cut at ", cuts.front());
        grouping.of.push_back(int(
            std::count_if(cuts.begin(), cuts.end(), [&](const auto& cut) { return *found >= *parse_number(cut); })));
    }
    return grouping;
}

// 4.0 and 4.00 are 4. A name depends on nothing but the word, so groups of parts of the data have the same.
std::string name_of(const std::string& value) {
    std::string word(trimmed(value));
    if (!parse_number(word) || word.find('.') == word.npos || word.find_first_of("eE") != word.npos) return word;
    word.erase(word.find_last_not_of('0') + 1);
    if (word.back() == '.') word.pop_back();
    return word;
}

Grouping by_value(const Values& values) {
    Grouping grouping;
    std::set<std::string> distinct;
    for (const std::string& value : values)
        if (!is_unknown(value)) distinct.insert(name_of(value));
    grouping.groups = sorted_words(distinct);
    std::map<std::string_view, int> index;
    for (const std::string& word : grouping.groups) index.emplace(word, int(index.size()));
    for (const std::string& value : values) grouping.of.push_back(is_unknown(value) ? -1 : index.at(name_of(value)));
    return grouping;
}

Grouping crossed(const Grouping& a, const Grouping& b) {
    Grouping grouping;
    for (const std::string& first : a.groups)
        for (const std::string& second : b.groups) grouping.groups.push_back(first + "*" + second);
    for (size_t i = 0; i < a.of.size(); ++i)
        grouping.of.push_back(a.of[i] < 0 || b.of[i] < 0 ? -1 : a.of[i] * int(b.groups.size()) + b.of[i]);
    return grouping;
}

}  // namespace

Grouping group_by(const AttributeColumns& columns, const std::string& spec) {
    std::optional<Grouping> all;
    for (const std::string& part : parts(spec, '*')) {
        const Factor factor = parse_factor(part, spec);
        const int column = find_column(columns.names, factor.column);
        FP_REQUIRE(column >= 0, Exit::data, columns.source, ": no attribute '", factor.column, "', only ",
                   columns.names.empty()
                       ? "no column at all"
                       : list(columns.names) + "; the nearest is " + nearest(factor.column, columns.names));
        const Values values = columns.values(size_t(column));
        Grouping one = factor.cuts.empty() ? by_value(values) : by_cuts(factor, values, columns);
        if (factor.unknown != Factor::Unknown::apart && !one.groups.empty()) {
            const int stand_in = factor.unknown == Factor::Unknown::first ? 0 : int(one.groups.size()) - 1;
            std::replace(one.of.begin(), one.of.end(), -1, stand_in);
        }
        all = all ? crossed(*all, one) : std::move(one);
    }
    all->name = spec;
    return std::move(*all);
}

std::vector<int64_t> group_sizes(const Grouping& grouping) {
    std::vector<int64_t> sizes(grouping.groups.size() + 1, 0);
    for (const int g : grouping.of) ++sizes[g < 0 ? grouping.groups.size() : size_t(g)];
    return sizes;
}

void require_few_groups(const Grouping& grouping) {
    constexpr size_t kMostGroups = 50;
    FP_REQUIRE(grouping.groups.size() <= kMostGroups, Exit::data, "attribute ", grouping.name, ": ",
               grouping.groups.size(), " groups among ", grouping.of.size(), " samples, at most ", kMostGroups,
               " are compared; cut a number with ", grouping.name, ":VALUE");
}

namespace {

// Why no gap can be told; empty where one can.
std::string why_no_gap(const Grouping& grouping) {
    const std::vector<int64_t> sizes = group_sizes(grouping);
    std::vector<std::string> known;
    for (size_t g = 0; g < grouping.groups.size(); ++g)
        if (sizes[g] > 0) known.push_back(text(grouping.groups[g], " (", sizes[g], ")"));
    if (known.size() >= 2) return "";
    return text("attribute ", grouping.name, ": ",
                known.empty() ? "every value is unknown" : "only one group, " + known.front(), " among ",
                grouping.of.size(), " samples with ", sizes.back(), " unknown; a gap needs two");
}

}  // namespace

void require_comparable(const Grouping& grouping) {
    require_few_groups(grouping);
    const std::string reason = why_no_gap(grouping);
    FP_REQUIRE(reason.empty(), Exit::data, reason);
}

std::vector<std::string> group_warnings(const AttributeColumns& columns, const std::vector<std::string>& specs) {
    std::vector<std::string> out;
    for (const std::string& spec : specs) {
        const Grouping grouping = group_by(columns, spec);
        require_few_groups(grouping);
        const std::string reason = grouping.of.empty() ? "" : why_no_gap(grouping);
        if (!reason.empty()) out.push_back(reason);
        if (const std::string two = alike(grouping.groups); !two.empty())
            out.push_back(text("attribute ", spec, ": the groups ", two, " differ in case alone"));
    }
    return out;
}

std::map<std::string, double> weighted_attributes(const std::vector<std::string>& attributes) {
    std::map<std::string, double> out;
    for (const std::string& a : attributes) {
        const size_t equals = a.find('=');
        const auto weight = equals == a.npos ? 1 : parse_number(std::string_view(a).substr(equals + 1));
        FP_REQUIRE(weight && *weight >= 0, Exit::usage, "--attribute ", a,
                   ": the weight is not a number of at least 0");
        out[a.substr(0, equals)] = *weight;
    }
    return out;
}

std::vector<std::string> plain_names(const std::vector<std::string>& attributes) {
    std::vector<std::string> out;
    for (const std::string& a : attributes) out.push_back(a.substr(0, a.find('=')));
    return out;
}

}  // namespace fp
