#include "engine/run/identity.h"

#include <omp.h>

#include <algorithm>
#include <span>

#include "engine/io/files.h"
#include "engine/io/hash.h"

namespace fp {
namespace {

constexpr const char* kRanks = "the number of ranks (--resume-ranks any allows another)";

std::string value_in(const std::vector<Setting>& settings, const std::string& name) {
    const auto found = std::ranges::find(settings, name, &Setting::name);
    return found == settings.end() ? "not set" : printable(found->value, 200);
}

std::string groups_hash(const Grouping& g) {
    Xxh3 hash;
    for (const std::string& group : g.groups) {
        hash.add(as_bytes(group));
        hash.add(std::as_bytes(std::span("", 1)));  // ends a name
    }
    hash.add(std::as_bytes(std::span(g.of)));
    return hash.hex();
}

}  // namespace

void Identity::add(const Identity& other) {
    settings.insert(settings.end(), other.settings.begin(), other.settings.end());
    noted.insert(noted.end(), other.noted.begin(), other.noted.end());
}

std::string difference(const std::vector<Setting>& saved, const std::vector<Setting>& now) {
    std::vector<std::string> changes;
    const auto compare = [&](const Setting& s) {
        const std::string was = value_in(saved, s.name), is = value_in(now, s.name);
        if (was != is) changes.push_back(text(printable(s.name), " was ", was, ", is ", is));
    };
    for (const Setting& s : now) compare(s);
    for (const Setting& s : saved)
        if (std::ranges::find(now, s.name, &Setting::name) == now.end()) compare(s);
    if (changes.size() < 2) return changes.empty() ? "" : changes[0];
    const size_t more = changes.size() - 1;
    return text(changes[0], ", and ", more, more == 1 ? " more setting differs" : " more settings differ");
}

Identity identity_of(const Dataset& set, const std::vector<std::string>& attributes) {
    Identity out{.settings = {{"the hash of images, classes and splits", split_hash(set)}}};
    // The pixels of generated images follow from the specification alone.
    (set.synth ? out.settings : out.noted).push_back({"--data", set.name});
    for (const std::string& attribute : attributes)
        out.settings.push_back({"the groups of " + attribute, groups_hash(group_by(set, attribute))});
    return out;
}

Identity identity_of_ranks(int ranks, bool any) {
    Identity out;
    (any ? out.noted : out.settings).push_back({kRanks, std::to_string(ranks)});
    return out;
}

Identity as_listed(const Identity& saved, const Identity& now) {
    const auto has = [](const std::vector<Setting>& list, const std::string& name) {
        return std::ranges::find(list, name, &Setting::name) != list.end();
    };
    Identity out;
    for (const Setting& s : saved.settings) (has(now.noted, s.name) ? out.noted : out.settings).push_back(s);
    for (const Setting& s : saved.noted) (has(now.settings, s.name) ? out.settings : out.noted).push_back(s);
    if (has(saved.settings, kRanks) || has(saved.noted, kRanks)) return out;
    if (has(now.settings, kRanks)) out.settings.push_back({kRanks, "1"});
    if (has(now.noted, kRanks)) out.noted.push_back({kRanks, "1"});
    return out;
}

Identity identity_of_threads() {
    return {
        .noted = {{"the number of threads (it decides how sums are rounded)", std::to_string(omp_get_max_threads())}}};
}

}  // namespace fp
