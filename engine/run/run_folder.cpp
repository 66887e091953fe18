#include "engine/run/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <omp.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "engine/io/csv.h"
#include "engine/io/fields.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/io/temporaries.h"
#include "engine/io/tensorboard.h"
#include "engine/parallel/agree.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/run/device.h"
#include "engine/run/version.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr uint64_t kMostBytes = 1 << 30;
constexpr const char* kEvents = "events.out.tfevents.fairprune";
constexpr const char* kRanksFile = ".ranks";  // what the first rank writes for the others to see
constexpr const char* kRunFiles[] = {
    "config.toml", "environment.json", "metrics.jsonl", "metrics.csv",   "scores.json",     "bad_images.csv",
    kEvents,       "report.json",      "report.html",   "model-card.md", "predictions.csv", "predictions-dense.csv",
    "pareto.csv",  "scan.json",        "scan.csv",      "split.csv",     "weights.json",    "layers.csv"};

// Makes the folder where it is missing. The process that holds the lock is the only one that writes to it; the file
// stays.
Descriptor locked(const fs::path& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) fail_system(folder, "cannot be made", failed.value(), Exit::data);
    const fs::path path = folder / ".lock";
    Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (file.number() < 0) fail_system(path, "cannot be created", errno, Exit::data);
    if (flock(file.number(), LOCK_EX | LOCK_NB) == 0) return file;
    const int error = errno;
    FP_REQUIRE(error != EWOULDBLOCK, Exit::usage, shown(folder), ": another process is writing there");
    std::cerr << shown(folder) << ": this file system has no locks (" << std::generic_category().message(error)
              << "); nothing keeps a second process from writing there\n";
    return file;
}

// Of the second round of a pruning run on: scores-2.json.
bool is_scores_of_round(std::string_view name) {
    constexpr std::string_view kBegin = "scores-", kEnd = ".json";
    if (name.size() <= kBegin.size() + kEnd.size() || !name.starts_with(kBegin) || !name.ends_with(kEnd)) return false;
    name.remove_prefix(kBegin.size());
    name.remove_suffix(kEnd.size());
    return name.find_first_not_of("0123456789") == name.npos;
}

bool is_of_run(const std::string& name) {
    return std::ranges::find(kRunFiles, name) != std::end(kRunFiles) || is_scores_of_round(name) ||
           CheckpointFolder::is_own(name);
}

// Under its own name or that of a file that it is a symbolic link to.
bool is_in_run(const std::string& file, const fs::path& folder) {
    std::error_code missing;
    const auto in = [&](const fs::path& path, const fs::path& here) {
        return fs::equivalent(path.has_parent_path() ? path.parent_path() : ".", here, missing);
    };
    for (const fs::path& path : {fs::path(file), fs::weakly_canonical(file, missing)})
        if ((is_of_run(path.filename().string()) && in(path, folder)) || in(path, folder / "scores")) return true;
    return false;
}

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int64_t step_of(const ordered_json& row, const std::string& where) {
    return from_json<int64_t>(JsonValue{.json = row, .where = where}.at("step"));
}

// The values of nested objects under names like a.b, in the order of the row.
using Leaves = std::vector<std::pair<std::string, ordered_json>>;
Leaves leaves_of(const ordered_json& row, const std::string& prefix = "") {
    Leaves out;
    for (const auto& [key, value] : row.items())
        if (value.is_object())
            std::ranges::move(leaves_of(value, prefix + key + "."), std::back_inserter(out));
        else
            out.emplace_back(prefix + key, value);
    return out;
}

std::string csv_cell(const ordered_json& value) {
    return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : json_line(value);
}

// TensorBoard makes a section of what stands before the first slash: train/loss, "val by sex/gaps.eodd".
std::string tag_of(std::string name) {
    constexpr std::string_view kAttribute = ".attributes.";
    if (const size_t at = name.find(kAttribute); at != name.npos) name.replace(at, kAttribute.size(), " by ");
    if (const size_t dot = name.find('.'); dot != name.npos) name[dot] = '/';
    return name;
}

// The numbers of a row for TensorBoard.
std::string event_of(const ordered_json& row) {
    std::vector<std::pair<std::string, double>> values;
    for (const auto& [name, value] : leaves_of(row))
        if (value.is_number()) values.emplace_back(tag_of(name), value.get<double>());
    return scalar_event(seconds_now(), row.at("step").get<int64_t>(), values);
}

ordered_json environment_before(const fs::path& file) {
    try {
        return parse_json(read_file(file, kMostBytes), shown(file), Exit::data);
    } catch (const Error& error) {  // a note for people: no reason to stop
        std::cerr << error.what() << "; it is not kept\n";
        return nullptr;
    }
}

}  // namespace

std::string date_now() {
    const std::time_t now = std::time(nullptr);
    return text(std::put_time(std::gmtime(&now), "%Y-%m-%dT%H:%M:%SZ"));
}

bool holds_run(const fs::path& folder, IfRunIsThere then, const std::vector<std::string>& reads) {
    std::error_code error;
    const auto is_there = [&](const char* name) {
        const auto bytes = fs::file_size(folder / name, error);
        return !error && bytes > 0;
    };
    const bool out = is_there("last.json") || is_there("metrics.jsonl") || is_there("scores.json") ||
                     is_there("report.json") || fs::is_directory(folder / "scores", error);  // of a search
    FP_REQUIRE(!out || then != IfRunIsThere::refuse, Exit::usage, shown(folder),
               ": holds a run already; --resume goes on with it, --force starts over");
    if (!out || then != IfRunIsThere::resume)
        for (const std::string& file : reads)
            FP_REQUIRE(file.empty() || !is_in_run(file, folder), Exit::usage, shown(file),
                       ": is read, and a run in the same folder deletes or replaces it; another --out keeps it");
    return out;
}

void require_seen(const fs::path& file, const std::string& content, double seconds) {
    std::error_code error;
    for (const double start = seconds_now(); seconds_now() < start + seconds;) {
        if (fs::exists(file, error) && read_file(file, kMostBytes) == content) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    fail_with(Exit::data, shown(file.parent_path()),
              ": what the first rank writes there is not seen on this host after ", seconds,
              " s; all ranks need the same folder, on a disk that their hosts share");
}

RunFolder::RunFolder(fs::path folder, IfRunIsThere then, const std::vector<std::string>& reads, const Comm& ranks)
    : FolderWriter(std::move(folder), ranks.first()), ranks_(ranks) {
    const std::string told = from_first(ranks, [&] {
        open(then, reads);
        const std::string mark = fmt::format("{} {} {:.6f}", ranks.numbered().host, getpid(), seconds_now());
        if (!ranks.alone()) write(kRanksFile, mark);
        return (holds_run_ ? "1" : "0") + mark;
    });
    if (ranks.alone()) return;
    holds_run_ = told[0] == '1';
    agree(ranks, [&] {
        if (!writes()) require_seen(path() / kRanksFile, told.substr(1));
    });
    std::error_code ignored;
    if (writes()) fs::remove(path() / kRanksFile, ignored);
}

// What the first rank does.
void RunFolder::open(IfRunIsThere then, const std::vector<std::string>& reads) {
    lock_.emplace(locked(path()));
    std::error_code error;
    for (const fs::path& written : {path(), path() / "scores"})  // a search shares scores there
        if (fs::is_directory(written)) remove_stale_temporaries(written);

    holds_run_ = fp::holds_run(path(), then, reads);
    if (!holds_run_ || then == IfRunIsThere::resume) return;
    CheckpointFolder::clear(path());
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(path()))
        if (is_of_run(entry.path().filename().string())) files.push_back(entry.path());
    for (const fs::path& file : files) {
        fs::remove(file, error);
        if (error) fail_system(file, "cannot be removed", error.value(), Exit::data);
    }
    holds_run_ = false;
}

void record_settings(const RunFolder& folder, const Caller& caller, const Kernels& used) {
    if (!folder.writes()) return;
    ordered_json now = environment(caller, &used);
    const fs::path path = folder / "environment.json";
    if (folder.holds_run() && fs::exists(path))
        if (ordered_json before = environment_before(path); before.is_object()) {
            ordered_json earlier = ordered_json::array();
            if (before.contains("earlier") && before.at("earlier").is_array()) earlier = before.at("earlier");
            before.erase("earlier");
            earlier.push_back(before);
            now["earlier"] = earlier;
        }
    folder.write("environment.json", now.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    folder.write("config.toml", caller.config);
}

ordered_json environment(const Caller& caller, const Kernels* used) {
    const Version& v = version();
    utsname system{};
    uname(&system);
    ordered_json out{{"tool", caller.tool},        {"version", v.number},    {"commit", v.commit},
                     {"build_type", v.build_type}, {"compiler", v.compiler}, {"built_for", v.device}};
    if (used) out.update({{"device", used->name}, {"device_text", device_text(*used)}});
    if (used && uses_gpu(*used)) out["gpu"] = gpu();
    out.update({{"system", text(system.sysname, " ", system.release, " ", system.machine)},
                {"processor", processor()},
                {"cores", omp_get_num_procs()},
                {"threads", omp_get_max_threads()},
                {"instruction_set", host_isa()},
                {"vector_bits", host_vector_bits()},
                {"memory_bytes", int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE)},
                {"command_line", caller.command_line},
                {"date", date_now()}});
    for (const RankNote& r : caller.ranks)
        out["ranks"].push_back({{"rank", r.rank}, {"host", r.host}, {"device", r.device}});
    return out;
}

std::vector<ordered_json> read_rows(const fs::path& file, int64_t last_step) {
    std::vector<ordered_json> rows;
    const std::string content = fs::exists(file) ? read_file(file, kMostBytes) : "";
    // Without its line end a last line was cut off.
    for (size_t at = 0, end; (end = content.find('\n', at)) != content.npos; at = end + 1) {
        const std::string where = text(shown(file), ":", rows.size() + 1);
        ordered_json row = parse_json(std::string_view(content).substr(at, end - at), where, Exit::data);
        if (step_of(row, where) > last_step) break;
        rows.push_back(std::move(row));
    }
    return rows;
}

Metrics::Metrics(FolderWriter folder, int64_t last_step, bool events) : folder_(std::move(folder)), events_(events) {
    const fs::path path = folder_ / "metrics.jsonl";
    if (last_step >= 0 && folder_.writes()) rows_ = read_rows(path, last_step);
    std::string kept, all = event_file_header(seconds_now());
    for (const ordered_json& row : rows_) {
        kept += json_line(row) + "\n";
        all += event_of(row);
    }
    folder_.write("metrics.jsonl", kept);
    write_csv();
    if (events_) folder_.write(kEvents, all);
}

Metrics::~Metrics() = default;
Metrics::Metrics(Metrics&&) noexcept = default;

void Metrics::append(ordered_json row, const ordered_json& times) {
    const int64_t step = step_of(row, "a row of the metrics");
    FP_CHECK(rows_.empty() || step >= step_of(rows_.back(), "metrics"), "step ", step, " follows ",
             step_of(rows_.back(), "metrics"));
    row["times"] = times;
    folder_.append("metrics.jsonl", json_line(row) + "\n");
    if (events_) folder_.append(kEvents, event_of(row));
    rows_.push_back(std::move(row));
    write_csv();
}

// Written whole each time, since a later row may have columns that the first ones lack.
void Metrics::write_csv() const {
    Table table;
    for (const ordered_json& row : rows_)
        for (const auto& [column, value] : leaves_of(row))
            if (table.column(column) < 0) table.header.push_back(column);
    for (const ordered_json& row : rows_) {
        std::vector<std::string> cells(table.header.size());
        for (const auto& [column, value] : leaves_of(row)) cells[size_t(table.column(column))] = csv_cell(value);
        Cells& written = table.rows.emplace_back();
        for (const std::string& cell : cells) written.push_back(cell);
    }
    folder_.write("metrics.csv", table.header.empty() ? "" : csv_text(table));
}

}  // namespace fp
