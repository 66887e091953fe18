#include "engine/data/dataset.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>

#include "engine/data/sources/sources.h"
#include "engine/data/split.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Sorted and distinct; as numbers if every one is a whole number, so that 10 stands after 9.
std::vector<std::string> sorted_classes(const Listing& listing) {
    std::set<std::string> distinct;
    for (const auto& row : listing.table.rows) distinct.insert(trimmed(row[listing.label]));
    std::vector<std::string> classes(distinct.begin(), distinct.end());
    std::vector<std::pair<int64_t, std::string>> numbers;
    for (const std::string& word : classes) {
        int64_t value;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc() || end != word.data() + word.size()) return classes;
        numbers.emplace_back(value, word);
    }
    std::sort(numbers.begin(), numbers.end());
    std::transform(numbers.begin(), numbers.end(), classes.begin(), [](auto& number) { return number.second; });
    return classes;
}

// Makes samples of the rows of a table, whose cells it moves away.
class RowReader {
public:
    RowReader(Listing& listing, const DatasetOptions& options, Dataset& data)
        : listing_(listing), allow_absolute_(options.allow_absolute), data_(data), unknown_words_(options.unknown) {
        for (size_t c = 0; c < table_.header.size(); ++c)
            if (c != listing.image && c != listing.label && c != listing.split) {
                attributes_.push_back(c);
                data.columns.push_back(table_.header[c]);
            }
        for (const std::string& wanted : options.exclude_unknown)
            needed_.emplace_back(wanted, need_column(table_, wanted));
        units_ = unit_columns(data.columns);
        for (size_t c = 0; c < data.classes.size(); ++c) class_of_.emplace(data.classes[c], int(c));
    }

    // Appends the sample of a row, unless the row is left out, which is counted.
    void add(size_t r) {
        Cells& row = table_.rows[r];
        const auto cell = [&](size_t c) { return as_unknown(row[c], unknown_words_); };
        Sample sample{.image = std::string(row[listing_.image]) + listing_.extension,
                      .line = table_.lines.empty() ? 0 : table_.lines[r]};
        const auto where = [&] { return table_.name + (sample.line > 0 ? text(":", sample.line, ": ") : ": "); };
        const std::string label = trimmed(row[listing_.label]);
        FP_REQUIRE(!label.empty(), Exit::data, where(), "no label");
        const auto found = class_of_.find(label);
        FP_REQUIRE(found != class_of_.end(), Exit::data, where(), "label '", label, "' is none of the ",
                   data_.classes.size(), " classes ", list(data_.classes));
        sample.label = found->second;

        FP_REQUIRE(!row[listing_.image].empty(), Exit::data, where(), "no image");
        const std::filesystem::path path = sample.image;
        const bool below_root = !path.is_absolute() && std::find(path.begin(), path.end(), "..") == path.end();
        FP_REQUIRE(below_root || allow_absolute_, Exit::data, where(), "image '", sample.image,
                   "' leaves the folder of the images (--allow-absolute permits it)");

        if (listing_.split) {
            const std::string word = trimmed(row[*listing_.split]);
            without_split_ += word.empty();
            if (word.empty()) return;
            sample.split = parse_split(word).value_or(Split::other);
            if (sample.split == Split::other) sample.other_split = word;
        }
        for (const auto& [column, c] : needed_)
            if (is_unknown(cell(c))) {
                ++unknown_[column];
                return;
            }
        Cells attributes;
        for (const size_t c : attributes_) attributes.push_back(cell(c));
        sample.attributes = attributes;
        if (sample.split == Split::other) ++other_splits_[sample.other_split];
        sample.unit = unit_of(sample.attributes, units_, sample.image);
        row = {};
        data_.samples.push_back(std::move(sample));
    }

    void add_notes() {
        if (without_split_ > 0)
            data_.notes.push_back(text("left out ", without_split_, " of ", table_.rows.size(),
                                       " images without a word under ", table_.header[*listing_.split]));
        for (const auto& [split, count] : other_splits_)
            data_.notes.push_back(
                text(count, " images of the split ", printable(split), " are for judging alone (--split NAME)"));
        for (const auto& [column, count] : unknown_)
            data_.notes.push_back(
                text("left out ", count, " of ", table_.rows.size(), " images whose ", column, " is unknown"));
    }

private:
    Listing& listing_;
    Table& table_ = listing_.table;
    const bool allow_absolute_;
    Dataset& data_;
    const std::vector<std::string>& unknown_words_;
    std::vector<size_t> attributes_;  // columns of the table
    std::vector<int> units_;          // among the attributes
    std::map<std::string, int> class_of_;
    std::vector<std::pair<std::string, size_t>> needed_;  // the same: rows that are unknown there are left out
    std::map<std::string, int64_t> unknown_;              // rows left out, by column
    int64_t without_split_ = 0;                           // and these
    std::map<std::string, int64_t> other_splits_;         // rows kept, by split
};

void complete_splits(Dataset& data, bool has_column, const DatasetOptions& options) {
    const auto has = [&](Split split) { return !members(data, split).empty(); };
    if (has_column && (has(Split::val) || !has(Split::train))) return;
    const auto is_seen = [](Seen s) { return s != Seen::no; };
    const bool known = data.seen && std::ranges::any_of(seen_before(*data.seen, data), is_seen);
    if (!has_column && options.whole_if_unseen && data.seen && !data.seen->earlier_unknown && !known &&
        !options.split_seed) {
        for (Sample& sample : data.samples) sample.split = Split::test;
        data.notes.push_back("not split: the model has seen none of these images, so all are test");
        return;
    }
    const bool as_model = known && data.seen->split_seed && !options.split_seed;
    const uint64_t seed = as_model ? *data.seen->split_seed : options.split_seed.value_or(0);
    if (has_column)
        draw_validation(data, seed);
    else
        draw_split(data, seed);
    data.notes.push_back(text(has_column ? "drew val from a fifth of train" : "drew train, val and test 60/20/20",
                              ", seed ", seed, as_model ? " as for the model" : ""));
}

// Where a model has learned from a part of val and from nothing that judges, as by fp_prune --finetune-on val-half, that
// part is train: the rest of val judges and chooses as it did for the model.
void leave_out_learned_validation(Dataset& data) {
    if (!data.seen) return;
    const std::vector<Seen> seen = seen_before(*data.seen, data);
    std::vector<size_t> learned;
    for (size_t i = 0; i < seen.size(); ++i) {
        const Split split = data.samples[i].split;
        if (split == Split::val && seen[i] == Seen::learned_from) learned.push_back(i);
        if ((split == Split::test || split == Split::other) && seen[i] != Seen::no) return;
    }
    if (learned.empty()) return;
    data.notes.push_back(text("the model has learned from ", learned.size(), " of ", members(data, Split::val).size(),
                              " images of val: these count as train"));
    for (const size_t i : learned) data.samples[i].split = Split::train;
}

// A network that is trained on these data never sees what is named here.
void note_untrained_classes(Dataset& data) {
    const auto train = class_counts(data, Split::train), val = class_counts(data, Split::val),
               test = class_counts(data, Split::test);
    const auto trained = std::count_if(train.begin(), train.end(), [](int64_t n) { return n > 0; });
    if (trained == 0) return;
    if (trained == 1) data.notes.push_back("train has images of one class alone");
    constexpr int kMostNamed = 10;
    int missing = 0;
    for (size_t c = 0; c < train.size(); ++c)
        if (train[c] == 0 && val[c] + test[c] > 0 && ++missing <= kMostNamed)
            data.notes.push_back(
                text("train has no image of the class ", data.classes[c], ", val has ", val[c], " and test ", test[c]));
    if (missing > kMostNamed)
        data.notes.push_back(text("nor of ", missing - kMostNamed, " more classes that val or test have"));
}

Dataset dataset_of(Listing listing, const DataSpec& spec, const DatasetOptions& options) {
    Dataset data{.name = printable(spec.text, 4096),
                 .table = listing.table.name,
                 .root = listing.root,
                 .classes = !options.classes.empty()  ? options.classes
                            : listing.classes.empty() ? sorted_classes(listing)
                                                      : listing.classes,
                 .notes = listing.notes,
                 .seen = options.seen,
                 .synth = listing.synth};
    for (std::string& note : notes_of_unknown_words(listing.table, options.unknown))
        data.notes.push_back(std::move(note));
    RowReader rows(listing, options, data);
    for (size_t r = 0; r < listing.table.rows.size(); ++r) rows.add(r);
    rows.add_notes();
    FP_REQUIRE(!data.samples.empty(), Exit::data, data.table, ": no images are left");
    complete_splits(data, listing.split.has_value(), options);
    if (options.whole_if_unseen) leave_out_learned_validation(data);
    refuse_leaks(data, options.allow_leak);
    if (data.seen && data.seen->first_weights_unknown)
        data.notes.push_back(
            "what the model's first weights (--weights) were trained on is not known, and not counted as seen");
    note_untrained_classes(data);
    if (const std::string two = alike(data.classes); !two.empty())
        data.notes.push_back("the classes " + two + " differ in case alone");
    return data;
}

}  // namespace

std::string_view name(Split split) {
    constexpr std::string_view kNames[] = {"train", "val", "test", "other"};
    return kNames[size_t(split)];
}

std::optional<Split> parse_split(std::string_view word) {
    static const std::map<std::string, Split> kWords = {
        {"train", Split::train},    {"training", Split::train}, {"val", Split::val},   {"valid", Split::val},
        {"validation", Split::val}, {"dev", Split::val},        {"test", Split::test}, {"testing", Split::test}};
    const auto found = kWords.find(plain(word));
    return found == kWords.end() ? std::nullopt : std::optional(found->second);
}

Dataset open_dataset(const std::string& spec, const DatasetOptions& options) {
    const DataSpec parsed = parse_data_spec(spec);
    try {
        return dataset_of(parsed.source->list(parsed, options), parsed, options);
    } catch (const std::filesystem::filesystem_error& error) {
        fail_with(Exit::data, "--data ", spec, ": ", error.what());
    }
}

std::vector<int64_t> members(const Dataset& data, Split split) {
    std::vector<int64_t> found;
    for (size_t i = 0; i < data.samples.size(); ++i)
        if (data.samples[i].split == split) found.push_back(int64_t(i));
    return found;
}

std::vector<int64_t> class_counts(const Dataset& data, Split split) {
    std::vector<int64_t> count(data.classes.size(), 0);
    for (const int64_t i : members(data, split)) ++count[size_t(data.samples[size_t(i)].label)];
    return count;
}

AttributeColumns attribute_columns(const Dataset& data, const std::vector<int64_t>& samples) {
    const auto values = [&data, samples](size_t column) {
        std::vector<std::string> out;
        for (const int64_t i : samples) out.emplace_back(data.samples[size_t(i)].attributes[column]);
        return out;
    };
    const auto place = [&data, samples](size_t i) {
        const Sample& sample = data.samples[size_t(samples[i])];
        return sample.line > 0 ? text(data.table, ":", sample.line) : sample.image;
    };
    return {
        .source = data.table.empty() ? data.name : data.table, .names = data.columns, .values = values, .place = place};
}

Grouping group_by(const Dataset& data, const std::string& spec) {
    std::vector<int64_t> all(data.samples.size());
    std::iota(all.begin(), all.end(), 0);
    return group_by(attribute_columns(data, all), spec);
}

std::vector<std::string> notes_of_unknown_words(const Table& table, const std::vector<std::string>& words) {
    std::set<std::string> absent;
    for (const std::string& word : words) absent.insert(plain(word));
    for (const Cells& row : table.rows)
        for (size_t c = 0; c < row.size() && !absent.empty(); ++c) absent.erase(plain(row[c]));
    std::vector<std::string> out;
    for (const std::string& word : words)
        if (absent.contains(plain(word)))
            out.push_back(text("--unknown `", printable(word), "`: no cell of ", table.name, " is that"));
    return out;
}

std::filesystem::path image_file(const Dataset& data, const Sample& sample) {
    return std::filesystem::path(data.root) / sample.image;
}

std::string split_hash(const Dataset& data) {
    Xxh3 hash;
    const auto add = [&](std::string word) { hash.add(as_bytes(word += '\0')); };  // "a","bc" is not "ab","c"
    for (const Sample& sample : data.samples) {
        add(sample.image);
        add(data.classes[size_t(sample.label)]);
        add(std::string(split_name(sample)));
    }
    return hash.hex();
}

}  // namespace fp
