#include "engine/run/run_folder.h"

#include <fcntl.h>
#include <omp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <thread>

#include "engine/io/csv.h"
#include "engine/io/files.h"
#include "engine/io/json.h"
#include "engine/io/tensorboard.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/run/version.h"
#include "kernels/kernels.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr uint64_t kMostBytes = 1 << 30;
constexpr const char* kEvents = "events.out.tfevents.fairprune";
constexpr const char* kRunFiles[] = {"config.toml", "environment.json", "metrics.jsonl",   "metrics.csv",
                                     "scores.json", "bad_images.csv",   kEvents,           "report.json",
                                     "report.html", "model-card.md",    "predictions.csv", "predictions-dense.csv",
                                     "pareto.csv",  "scan.json",        "scan.csv"};

std::string shown(const fs::path& path) { return printable(path.native(), 4096); }

[[noreturn]] void fail_system(const fs::path& path, std::string_view what, int error) {
    fail_with(Exit::data, shown(path), ": ", what, ": ", std::generic_category().message(error));
}

// A process that holds the lock is the only one that writes to the folder. The file stays.
int lock_folder(const fs::path& folder) {
    const fs::path path = folder / ".lock";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) fail_system(path, "cannot be created", errno);
    if (flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    const int error = errno;
    if (error == EWOULDBLOCK) {
        close(file);
        fail_with(Exit::usage, shown(folder), ": another process is writing there");
    }
    std::cerr << shown(folder) << ": this file system has no locks (" << std::generic_category().message(error)
              << "); nothing keeps a second process from writing there\n";
    return file;
}

std::string date_now() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string processor() {
    std::istringstream lines(read_file("/proc/cpuinfo", 1 << 24));
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("model name") && line.find(": ") != line.npos)
            return printable(line.substr(line.find(": ") + 2));
    return "unknown";
}

int usable_cores() {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0) return int(std::thread::hardware_concurrency());
    return CPU_COUNT(&cores);
}

std::vector<std::string> lines_of(const fs::path& path) {
    std::vector<std::string> lines;
    if (!fs::exists(path)) return lines;
    const std::string text = read_file(path, kMostBytes);
    // Without its line end a last line was cut off.
    for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
        lines.push_back(text.substr(at, end - at));
    return lines;
}

// Adds to the end of a file and flushes it to the disk.
void append_to(const fs::path& path, const std::string& text) {
    const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) fail_system(path, "cannot be opened", errno);
    size_t done = 0;
    int error = 0;
    while (done < text.size() && error == 0) {
        const ssize_t now = write(file, text.data() + done, text.size() - done);
        if (now < 0 && errno != EINTR) error = errno;
        if (now > 0) done += size_t(now);
    }
    if (error == 0 && fsync(file) != 0) error = errno;
    if (close(file) != 0 && error == 0) error = errno;
    if (error != 0) fail_system(path, "cannot be written", error);
}

void append_line(const fs::path& path, const std::string& line) { append_to(path, line + "\n"); }

double seconds_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

int64_t step_of(const ordered_json& row, const std::string& where) {
    FP_REQUIRE(row.is_object() && row.contains("step") && row.at("step").is_number_integer(), Exit::data, where,
               ": has no whole number `step`");
    return row.at("step").get<int64_t>();
}

using Cells = std::vector<std::pair<std::string, std::string>>;

void flatten(const ordered_json& value, const std::string& name, Cells& cells) {
    if (value.is_object()) {
        for (const auto& [key, inner] : value.items()) flatten(inner, name.empty() ? key : name + "." + key, cells);
    } else {
        cells.emplace_back(name, value.is_null()     ? ""
                                 : value.is_string() ? value.get<std::string>()
                                                     : json_line(value));
    }
}

}  // namespace

RunFolder::RunFolder(fs::path folder, IfRunIsThere then) : folder_(std::move(folder)) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) fail_system(folder_, "cannot be made", error.value());
    lock_ = lock_folder(folder_);

    // A run that ended before it had worked anything out is none.
    const auto is_there = [&](const char* name) {
        const auto bytes = fs::file_size(folder_ / name, error);
        return !error && bytes > 0;
    };
    holds_run_ = is_there("last.json") || is_there("metrics.jsonl") || is_there("scores.json") ||
                 is_there("report.json") || fs::is_directory(folder_ / "scores", error);  // of a search
    if (!holds_run_ || then == IfRunIsThere::resume) return;
    if (then == IfRunIsThere::refuse) {
        close(lock_);
        fail_with(Exit::usage, shown(folder_), ": holds a run already; --resume goes on with it, --force starts over");
    }
    CheckpointFolder::clear(folder_);
    for (const char* name : kRunFiles) {
        fs::remove(folder_ / name, error);
        if (error) fail_system(folder_ / name, "cannot be removed", error.value());
    }
    holds_run_ = false;
}

RunFolder::~RunFolder() { close(lock_); }

void RunFolder::write_settings(const std::string& config, const ordered_json& environment) {
    ordered_json now = environment;
    const fs::path path = folder_ / "environment.json";
    if (holds_run_ && fs::exists(path)) {
        ordered_json before = parse_json(read_file(path, kMostBytes), shown(path), Exit::data);
        ordered_json earlier = before.contains("earlier") ? before.at("earlier") : ordered_json::array();
        before.erase("earlier");
        earlier.push_back(before);
        now["earlier"] = earlier;
    }
    write_file(path, now.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    write_file(folder_ / "config.toml", config);
}

ordered_json environment(const std::string& tool, const std::string& command_line) {
    const Version& v = version();
    utsname system{};
    uname(&system);
    const int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
    return {{"tool", tool},
            {"version", v.number},
            {"commit", v.commit},
            {"build_type", v.build_type},
            {"compiler", v.compiler},
            {"device", v.device},
            {"gpu", gpu()},
            {"system", text(system.sysname, " ", system.release, " ", system.machine)},
            {"processor", processor()},
            {"cores", usable_cores()},
            {"threads", omp_get_max_threads()},
            {"memory_bytes", memory},
            {"command_line", command_line},
            {"date", date_now()}};
}

void record_settings(RunFolder& folder, const Caller& c) {
    folder.write_settings(c.config, environment(c.tool, c.command_line));
}

Metrics::Metrics(fs::path folder, int64_t last_step, bool events)
    : folder_(std::move(folder)), events_(events), rows_(std::make_unique<std::vector<ordered_json>>()) {
    const fs::path path = folder_ / "metrics.jsonl";
    std::string kept;
    const std::vector<std::string> lines = last_step < 0 ? std::vector<std::string>() : lines_of(path);
    for (size_t i = 0; i < lines.size(); ++i) {
        const std::string where = text(shown(path), ":", i + 1);
        ordered_json row = parse_json(lines[i], where, Exit::data);
        if (step_of(row, where) > last_step) break;
        kept += lines[i] + "\n";
        rows_->push_back(std::move(row));
    }
    write_file(path, kept);
    write_csv();
    if (!events_) return;
    std::string all = event_file_header(seconds_now());
    for (const ordered_json& row : *rows_) all += event_of(row);
    write_file(folder_ / kEvents, all);
}

Metrics::~Metrics() = default;
Metrics::Metrics(Metrics&&) noexcept = default;

const std::vector<ordered_json>& Metrics::rows() const { return *rows_; }

void Metrics::append(ordered_json row, const ordered_json& times) {
    const int64_t step = step_of(row, "a row of the metrics");
    FP_CHECK(rows_->empty() || step >= step_of(rows_->back(), "metrics"), "step ", step, " follows ",
             step_of(rows_->back(), "metrics"));
    row["times"] = times;
    append_line(folder_ / "metrics.jsonl", json_line(row));
    if (events_) append_to(folder_ / kEvents, event_of(row));
    rows_->push_back(std::move(row));
    write_csv();
}

std::string Metrics::event_of(const ordered_json& row) const {
    std::vector<std::pair<std::string, double>> values;
    const std::function<void(const ordered_json&, const std::string&)> collect = [&](const ordered_json& value,
                                                                                     const std::string& tag) {
        if (value.is_number()) values.emplace_back(tag, value.get<double>());
        if (!value.is_object()) return;
        for (const auto& [key, inner] : value.items()) {
            // TensorBoard makes a section of what stands before the first slash.
            const char* between = tag.empty() ? "" : tag.find('/') == tag.npos ? "/" : ".";
            collect(inner, tag + between + key);
        }
    };
    collect(row, "");
    return scalar_event(seconds_now(), row.at("step").get<int64_t>(), values);
}

// Written whole each time, since a later row may have columns that the first ones lack.
void Metrics::write_csv() const {
    Table table;
    std::vector<Cells> rows;
    for (const ordered_json& row : *rows_) {
        flatten(row, "", rows.emplace_back());
        for (const auto& [column, unused] : rows.back())
            if (table.column(column) < 0) table.header.push_back(column);
    }
    for (const Cells& cells : rows) {
        std::vector<std::string>& out = table.rows.emplace_back(table.header.size());
        for (const auto& [column, cell] : cells) out[size_t(table.column(column))] = cell;
    }
    std::ostringstream text;
    if (!table.header.empty()) fp::write_csv(text, table);
    write_file(folder_ / "metrics.csv", text.str());
}

int record_test_read(const fs::path& folder, const std::string& command_line) {
    const fs::path path = folder / "test_reads.jsonl";
    const int before = int(lines_of(path).size());
    append_line(path, json_line({{"date", date_now()}, {"command_line", command_line}}));
    return before;
}

}  // namespace fp
