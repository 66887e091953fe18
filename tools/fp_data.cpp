// fp_data check|stats|split|synth|cache SPEC
#include <algorithm>

#include "engine/data/sources/sources.h"
#include "engine/io/files.h"
#include "tools/data_commands.h"
#include "tools/inputs.h"

int main(int argc, char** argv) {
    using namespace fp;
    std::string command;
    DataRequest request;
    const auto declare = [&](Options& options) {
        options.positional("command COMMAND", command,
                           "check: files, counts, leaks; stats: counts; split: a new split as CSV; "
                           "synth: generated images as PNG; cache: decoded images");
        options.positional("spec SPEC", request.spec, "the data set (--help data)");
        options.topic("data", "Data sets", sources_text());
        options.require("command");
        options.require("spec");
        options.heading("Data");
        options.add("attribute NAME", request.attributes,
                    "count by these groups: sex, age:60, sex*age:60; may be repeated (default: the usual ones "
                    "that the data have)");
        add_dataset_options(options, request.dataset);
        add_leak_option(options, request.dataset);
        options.add("threads N", request.threads, "CPU threads; 0: one per core", {.low = 0, .high = 4096});
        options.heading("check");
        options.add("allow-bad", request.allow_bad, "permit missing and unreadable images");
        options.add("allow-damaged", request.allow_damaged,
                    "take a JPEG that is cut off or corrupt as readable (also for stats and cache)");
        options.heading("stats");
        options.add("pixels", request.pixels, "read every training image: sizes, mean and standard deviation");
        options.heading("split, synth, cache");
        options.add("out PATH", request.out,
                    "split: the CSV (default: stdout); synth: a new folder; cache: the cache's folder");
        options.add("duplicates", request.duplicates, "split: read every file and keep equal ones on one side");
        options.add("image-size N", request.image_size, "cache: side of the square that a model sees, in pixels",
                    {.low = 1, .high = 16384});
        options.leave_out_of_config("out");
        const auto only_of = [&](std::initializer_list<std::string_view> names, std::vector<std::string> commands) {
            std::string unless = "but of ";
            for (const std::string& one : commands) unless += (&one == &commands[0] ? "fp_data " : ", ") + one;
            options.needs(names, unless, [&command, commands] {
                return std::find(commands.begin(), commands.end(), command) != commands.end();
            });
        };
        only_of({"attribute"}, {"check", "stats"});
        only_of({"allow-bad"}, {"check"});
        only_of({"allow-damaged"}, {"check", "stats", "cache"});
        only_of({"pixels"}, {"stats"});
        only_of({"out"}, {"split", "synth", "cache"});
        only_of({"duplicates"}, {"split"});
        only_of({"image-size"}, {"cache"});
    };
    const auto run_command = [&](const Options& options) {
        if (command == "check") return check_data(request, options);
        if (command == "stats") return count_data(request, options);
        if (command == "split") return split_data(request, options);
        if (command == "synth") return write_synth(request, options);
        if (command == "cache") return cache_data(request, options);
        fail_with(Exit::usage, "no command `", printable(command), "`, nearest is ",
                  nearest(command, {"check", "stats", "split", "synth", "cache"}));
    };
    const auto run = [&](const Options& options) { return on_first(options, [&] { return run_command(options); }); };
    return run_tool(argc, argv, "Checks, counts, splits, generates and caches data sets.", declare, run);
}
