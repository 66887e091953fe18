#include "engine/run/test_reads.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/io/json.h"
#include "engine/io/words.h"
#include "engine/run/run_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostOfRecord = 1 << 28;
constexpr const char* kFile = "test_reads.jsonl";

struct ReadRow {
    std::string date = {}, split = {};
    int64_t images = 0;
    std::vector<std::string> models = {};  // sorted, each once
    std::string folder = {}, tool = {}, command_line = {};

    bool is_same_read(const ReadRow& o) const {
        return !folder.empty() && folder == o.folder && split == o.split && models == o.models;
    }
};
void fields(maybe_const<ReadRow> auto& r, auto& member) {
    member("date", r.date);
    member("split", r.split);
    member("images", r.images);
    member("models", r.models);
    member.if_any("folder", r.folder);
    member("tool", r.tool);
    member("command_line", r.command_line);
}

// The folder of the record; empty where none is kept, and `reason` says why.
fs::path record_folder(std::string& reason) {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (const std::string own = variable(kStateVariable); own == "off") {
        reason = "FAIRPRUNE_STATE=off";
        return {};
    } else if (!own.empty()) {
        return own;
    }
    if (const fs::path state = variable("XDG_STATE_HOME"); state.is_absolute()) return state / "fairprune";
    if (const fs::path home = variable("HOME"); home.is_absolute()) return home / ".local/state/fairprune";
    reason = "no folder is known; FAIRPRUNE_STATE=DIR names one";
    return {};
}

struct ReadRows {
    std::vector<ReadRow> rows = {};
    int64_t damaged = 0;
    bool open_end = false;  // the last line has no end: a crash cut it off
};

ReadRows rows_in(const fs::path& file) {
    ReadRows out;
    const std::string content = fs::exists(file) ? read_file(file, kMostOfRecord) : "";
    for (size_t at = 0, end; at < content.size(); at = end + 1) {
        end = std::min(content.find('\n', at), content.size());
        out.open_end = end == content.size();
        try {
            const auto json = parse_json(std::string_view(content).substr(at, end - at), shown(file), Exit::data);
            out.rows.push_back(from_json<ReadRow>({.json = json, .where = shown(file)}));
        } catch (const Error&) {
            ++out.damaged;
        }
    }
    return out;
}

// Adds the row unless that read is there. Two processes do not read and write at once; a file system without locks has
// whole lines all the same, since each is one write at the end.
ReadRows add_row(const fs::path& file, const ReadRow& row) {
    const Descriptor lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (lock.number() < 0) fail_system(file, "cannot be opened", errno, Exit::data);
    flock(lock.number(), LOCK_EX);
    ReadRows out = rows_in(file);
    if (std::ranges::any_of(out.rows, [&](const ReadRow& r) { return r.is_same_read(row); })) return out;
    append_file(file, (out.open_end ? "\n" : "") + json_line(fp::to_json(row)) + "\n");
    out.rows.push_back(row);
    return out;
}

void count(TestReads& out, const ReadRows& record) {
    std::set<std::string> models;
    out.count = 0;
    for (const ReadRow& row : record.rows) {
        if (row.split != out.split) continue;
        ++*out.count;
        ++out.by[row.tool];
        models.insert(row.models.begin(), row.models.end());
        if (out.since.empty() || row.date < out.since) out.since = row.date;
    }
    out.models = int64_t(models.size());
}

class SplitHash {
public:
    // `of` stands before the name: what tells these images from others of the same names.
    void add(const std::string& of, const std::string& image, const std::string& label) {
        images_.push_back(of + fs::path(image).stem().string() + '\0' + label + '\0');
    }
    TestSplit result() {
        if (images_.empty()) return {};
        std::ranges::sort(images_);
        Xxh3 hash;
        for (const std::string& image : images_) hash.add(as_bytes(image));
        return {.hash = hash.hex(), .images = int64_t(images_.size())};
    }

private:
    std::vector<std::string> images_;
};

std::string generated(const Dataset& data) {
    if (!data.synth) return "";
    SynthSpec spec = *data.synth;
    spec.n = 1;  // image i does not depend on it
    return to_string(spec);
}

}  // namespace

TestSplit test_split(const Dataset& data, const std::vector<int64_t>& samples) {
    SplitHash out;
    const std::string of = generated(data);
    for (const int64_t i : samples)
        if (const Sample& s = data.samples[size_t(i)]; s.split == Split::test || s.split == Split::other)
            out.add(of, s.image, data.classes[size_t(s.label)]);
    return out.result();
}

TestSplit test_split(const Predictions& p) {
    SplitHash out;
    for (size_t i = 0; i < p.image.size(); ++i) {
        const auto split = p.split.empty() ? std::nullopt : parse_split(p.split[i]);
        if (!split || *split == Split::test) out.add("", p.image[i], p.classes[size_t(p.label[i])]);
    }
    return out.result();
}

std::string predictions_hash(const Predictions& p) {
    Xxh3 hash;
    for (const std::string& image : p.image) hash.add(as_bytes(image + '\0'));
    hash.add(std::as_bytes(std::span(p.pred)));
    hash.add(std::as_bytes(std::span(p.prob)));
    return hash.hex();
}

void fields(const TestReads& r, JsonWriter& out) {
    out("split", r.split);
    out("images", r.images);
    if (!r.count) {
        add_member(out.object, "count");  // null
        return out("reason", r.reason);
    }
    out("count", *r.count);
    out("since", r.since);
    out("by", r.by);
    out("models", r.models);
}

TestReads record_test_read(const TestRead& read, const Caller& caller) {
    ReadRow row{.date = date_now(),
                .split = read.split.hash,
                .images = read.split.images,
                .models = read.models,
                .folder = read.folder.empty() ? "" : fs::weakly_canonical(read.folder).string(),
                .tool = caller.tool,
                .command_line = caller.command_line};
    std::ranges::sort(row.models);
    row.models.erase(std::ranges::unique(row.models).begin(), row.models.end());
    if (!read.folder.empty()) add_row(read.folder / kFile, row);

    TestReads out{.split = row.split, .images = row.images};
    const fs::path folder = record_folder(out.reason);
    if (folder.empty()) return out;
    try {
        std::error_code failed;
        fs::create_directories(folder, failed);
        if (failed) fail_system(folder, "cannot be made", failed.value(), Exit::data);
        const ReadRows record = add_row(folder / kFile, row);
        count(out, record);
        if (record.damaged > 0)
            out.fault = fmt::format("{}: {} of reads of test splits cannot be read", shown(folder / kFile),
                                    counted(record.damaged, "line"));
    } catch (const Error& error) {
        out.reason = error.what();
        out.fault = "reads of the test split are not counted: " + out.reason;
    }
    return out;
}

std::string sentence(const TestReads& r) {
    const std::string split = fmt::format("the test split (n={}, {})", grouped(r.images), r.split.substr(0, 8));
    if (!r.count) return fmt::format("how often {} was read is not on record: {}", split, r.reason);
    std::string by;
    for (const auto& [tool, n] : r.by) by += fmt::format("{}{} {}", by.empty() ? "" : ", ", tool, grouped(n));
    return fmt::format("{} was read {} on record since {} ({}; {})", split, counted(*r.count, "time"),
                       r.since.substr(0, 10), by, counted(r.models, "model"));
}

}  // namespace fp
