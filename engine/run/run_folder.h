// The folder of a run, `--out DIR`:
//
//   config.toml        its settings, as --config takes them
//   environment.json   what it runs on: version, compiler, processor, command line, date
//   metrics.jsonl      one JSON object a row, times last in each, so that two runs differ in nothing else
//   metrics.csv        the same as a table
//   events.out.tfevents.fairprune    the same for TensorBoard, where it was asked for
//   test_reads.jsonl   every read of the test split: when, by which command
//   bad_images.csv     images that were skipped because they cannot be read, and why
//
// beside checkpoints (engine/run/checkpoint_folder.h) and reports. What cannot be written there is an Error at the start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace fp {

enum class IfRunIsThere { refuse, resume, overwrite };

// The folder, made where it is missing and locked against a second process for as long as this lives.
class RunFolder {
public:
    // A folder that holds a run (a checkpoint, metrics or scores) is refused (Exit::usage), gone on with, or emptied of that run;
    // test_reads.jsonl stays in any case.
    RunFolder(std::filesystem::path folder, IfRunIsThere then);
    ~RunFolder();
    RunFolder(const RunFolder&) = delete;
    RunFolder& operator=(const RunFolder&) = delete;

    const std::filesystem::path& path() const { return folder_; }
    std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
    bool holds_run() const { return holds_run_; }  // from before, and it goes on

    // Writes config.toml and environment.json. When a run goes on, what it was started with before is kept
    // in the environment's "earlier".
    void write_settings(const std::string& config, const nlohmann::ordered_json& environment);

private:
    std::filesystem::path folder_;
    int lock_ = -1;
    bool holds_run_ = false;
};

// Version, build, operating system, processor, cores, memory, command line, date in UTC.
nlohmann::ordered_json environment(const std::string& tool, const std::string& command_line);

// RunFolder::write_settings with this environment.
void record_settings(RunFolder&,
                     const std::string& config,
                     const std::string& tool,
                     const std::string& command_line);

// metrics.jsonl and metrics.csv, and with `events` TensorBoard's file: a scalar a number of a row, "train/loss"
// for train.loss.
class Metrics {
public:
    // Goes on behind the rows up to `last_step`, those of the checkpoint that is resumed; rows behind it
    // and a line that was cut off by a crash are dropped. -1 starts anew.
    Metrics(std::filesystem::path folder, int64_t last_step, bool events = false);
    ~Metrics();
    Metrics(Metrics&&) noexcept;

    // A row has a whole number "step", which never falls; nested objects become columns "a.b" of the CSV.
    // `times` are the seconds that things took; they stand last in the row.
    void append(nlohmann::ordered_json row, const nlohmann::ordered_json& times);
    const std::vector<nlohmann::ordered_json>& rows() const;

private:
    void write_csv() const;
    std::string event_of(const nlohmann::ordered_json& row) const;

    std::filesystem::path folder_;
    bool events_;
    std::unique_ptr<std::vector<nlohmann::ordered_json>> rows_;
};

// Notes in the folder that the test split is read now; answers how often that was noted before.
int record_test_read(const std::filesystem::path& folder, const std::string& command_line);

}  // namespace fp
