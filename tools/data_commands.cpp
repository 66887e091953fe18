#include "tools/data_commands.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "engine/data/check.h"
#include "engine/data/counts.h"
#include "engine/data/images.h"
#include "engine/data/parallel.h"
#include "engine/data/split.h"
#include "engine/io/columns.h"
#include "engine/io/csv.h"
#include "engine/io/files.h"
#include "engine/run/progress.h"
#include "engine/run/signals.h"
#include "tools/tools_json.h"

namespace fp {
namespace {

std::function<void(int64_t)> progress_line(const Options& options, const std::string& verb, int64_t all) {
    const auto line = std::make_shared<Progress>(stderr_output(options.quiet()));
    line->update({.what = verb, .total = all});
    return [=](int64_t done) {
        if (StopSignals::requested()) throw Stopped{};
        line->update({.what = verb, .done = done, .total = all});
    };
}

// Opens the data set and prints its notes.
Dataset open(const DataRequest& request, const Options& options) {
    DatasetOptions as_asked = request.dataset;
    as_asked.allow_leak = true;  // to be found, counted and mended
    Dataset data = open_dataset(request.spec, as_asked);
    for (const std::string& note : data.notes) options.say(printable(note, 500));
    return data;
}

// The groupings of --attribute; without it those of the usual columns that the data has and that have two groups.
std::vector<Grouping> groupings(const Dataset& data, const std::vector<std::string>& wanted) {
    std::vector<Grouping> found;
    for (const std::string& spec : wanted) {
        found.push_back(group_by(data, spec));
        require_few_groups(found.back());
    }
    if (!wanted.empty()) return found;
    for (const std::string spec : {"sex", "age:60", "skin_tone", "group"}) {
        if (find_column(data.columns, spec.substr(0, spec.find(':'))) < 0) continue;
        try {
            const Grouping grouping = group_by(data, spec);
            require_comparable(grouping);
            found.push_back(grouping);
        } catch (const Error&) {  // one group, too many, or no numbers: nothing that was asked for
        }
    }
    return found;
}

// The title with the number of lines, and the first of them.
std::string listed(const std::string& title, const std::vector<std::string>& lines) {
    constexpr size_t kShown = 10;
    std::string out = fmt::format("{:<52} {:>8}\n", title, lines.size());
    for (size_t i = 0; i < std::min(lines.size(), kShown); ++i) out += "  " + printable(lines[i]) + "\n";
    if (lines.size() > kShown) out += fmt::format("  and {} more\n", lines.size() - kShown);
    return out;
}

std::vector<std::string> lines_of(const Dataset& data, const std::vector<std::vector<int64_t>>& sets) {
    std::vector<std::string> lines;
    for (const auto& set : sets) {
        std::vector<std::string> words;
        for (const int64_t i : set) {
            const Sample& s = data.samples[size_t(i)];
            words.push_back(fmt::format("{} ({}, {})", s.image, data.classes[size_t(s.label)], split_name(s)));
        }
        lines.push_back(list(words));
    }
    return lines;
}

std::vector<std::string> reasons(const std::vector<BadImage>& bad, bool missing) {
    std::vector<std::string> lines;
    for (const BadImage& image : bad)
        if (image.missing == missing) lines.push_back(image.reason);
    return lines;
}

}  // namespace

int check_data(const DataRequest& request, const Options& options) {
    const Dataset data = open(request, options);
    const std::vector<Grouping> groups = groupings(data, request.attributes);
    const FileScan scan =
        scan_files(data, {.decode = {.allow_damaged = request.allow_damaged},
                          .threads = request.threads,
                          .progress = progress_line(options, "checked", int64_t(data.samples.size()))});
    const auto units = parted_units(data);
    if (options.json()) {
        std::cout << check_json(data, groups, scan);
    } else {
        std::cout << counts_text(data, groups) << "\n"
                  << listed("missing images", reasons(scan.bad, true))
                  << listed("unreadable images", reasons(scan.bad, false))
                  << listed("sets of equal files", lines_of(data, scan.duplicates))
                  << listed("  of two classes", lines_of(data, scan.contradicting))
                  << listed("  in two splits", lines_of(data, scan.parted))
                  << listed("lesions or patients in two splits", units);
    }
    std::cout.flush();
    FP_REQUIRE(scan.bad.empty() || request.allow_bad, Exit::data, request.spec, ": ", reasons(scan.bad, true).size(),
               " images missing, ", reasons(scan.bad, false).size(), " unreadable (--allow-bad permits that)");
    refuse_parted(request.spec, units, scan.parted.size(), request.dataset.allow_leak);
    return 0;
}

int count_data(const DataRequest& request, const Options& options) {
    const Dataset data = open(request, options);
    const std::vector<Grouping> groups = groupings(data, request.attributes);
    std::optional<PixelStats> pixels;
    if (request.pixels)
        pixels = measure_pixels(
            data, Split::train,
            {.decode = {.allow_damaged = request.allow_damaged},
             .threads = request.threads,
             .progress = progress_line(options, "measured", int64_t(members(data, Split::train).size()))});
    if (options.json()) {
        std::cout << stats_json(data, groups, pixels);
        return 0;
    }
    std::cout << counts_text(data, groups);
    if (pixels)
        std::cout << fmt::format(
            "\n{} training images ({} unreadable), {} to {} wide, {} to {} high\n"
            "--normalize {:.4f},{:.4f},{:.4f}/{:.4f},{:.4f},{:.4f}\n",
            pixels->images, pixels->bad, pixels->least_width, pixels->most_width, pixels->least_height,
            pixels->most_height, pixels->mean[0], pixels->mean[1], pixels->mean[2], pixels->std[0], pixels->std[1],
            pixels->std[2]);
    return 0;
}

int split_data(const DataRequest& request, const Options& options) {
    Dataset data = open(request, options);
    SampleSets together;
    if (!request.out.empty()) require_creatable(request.out);
    if (request.duplicates) {
        const FileScan scan =
            scan_files(data, {.decode_images = false,
                              .threads = request.threads,
                              .progress = progress_line(options, "compared", int64_t(data.samples.size()))});
        FP_REQUIRE(scan.bad.empty(), Exit::data, scan.bad[0].reason,
                   scan.bad.size() > 1 ? text(" and ", scan.bad.size() - 1, " more") : "",
                   " (--no-duplicates splits without reading the files)");
        together = scan.duplicates;
    }
    draw_split(data, request.dataset.split_seed.value_or(0), together);
    if (request.out.empty())
        std::cout << csv_text(split_table(data));
    else
        write_csv(std::filesystem::path(request.out), split_table(data));
    options.say(fmt::format(
        "{} train, {} val, {} test; {} sets of equal files kept together; read it with csv:{},images={}",
        members(data, Split::train).size(), members(data, Split::val).size(), members(data, Split::test).size(),
        together.size(), request.out.empty() ? "FILE" : request.out, data.root));
    return 0;
}

int write_synth(const DataRequest& request, const Options& options) {
    FP_REQUIRE(!request.out.empty(), Exit::usage, "synth: --out DIR is missing");
    const Dataset data = open(request, options);
    FP_REQUIRE(data.synth, Exit::usage, "synth: ", request.spec, " is not synth:...");
    const std::filesystem::path folder = request.out;
    std::error_code error;
    FP_REQUIRE(!std::filesystem::exists(folder) || std::filesystem::is_empty(folder, error), Exit::data, request.out,
               ": exists and is not empty");
    std::filesystem::create_directories(folder / "images", error);
    FP_REQUIRE(!error, Exit::data, request.out, ": cannot be made: ", error.message());

    const auto write = [&](int64_t i) { write_png(folder / data.samples[size_t(i)].image, read_image(data, i)); };
    for_each_sample(int64_t(data.samples.size()), request.threads, write,
                    progress_line(options, "wrote", int64_t(data.samples.size())));
    write_csv(folder / "dataset.csv", split_table(data));
    std::cout << (folder / "dataset.csv").string() << "\n";
    return 0;
}

int cache_data(const DataRequest& request, const Options& options) {
    FP_REQUIRE(!request.out.empty(), Exit::usage, "cache: --out DIR is missing");
    const Dataset data = open(request, options);
    const auto line = progress_line(options, "decoded", int64_t(data.samples.size()));
    const DatasetImages images(data, {.image_size = request.image_size,
                                      .decode = {.allow_damaged = request.allow_damaged},
                                      .memory_bytes = 0,
                                      .cache = request.out,
                                      .progress = [&](int64_t done, int64_t) { line(done); }});
    if (!images.wrote_cache()) options.say("the cache file was there already");
    std::cout << images.cache_file().string() << "\n";
    return 0;
}

}  // namespace fp
