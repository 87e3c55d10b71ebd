// create of every kind but vm, from flags that are the fields of its spec; images are uploaded as well.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.hpp"
#include "common/base/units.hpp"
#include "orchestrator/cli/app.hpp"
#include "orchestrator/cli/yaml.hpp"

namespace axle::cli {
namespace {

// From the table: --publicKey of spec.publicKey and so on, kebab-case as well.
struct FieldOption {
    const Field* field;
    std::vector<std::string> values;
    bool on = false;
};
struct CreateOptions {
    std::string name;
    std::vector<std::string> labels;
    std::vector<std::shared_ptr<FieldOption>> fields;
    std::string file, catalog;        // of sshkey and image
    std::vector<std::string> limits;  // of project
};
using OptionsPtr = std::shared_ptr<CreateOptions>;

std::string kebab(std::string_view camel) {
    std::string out;
    for (const char c : camel) {
        if (c >= 'A' && c <= 'Z')
            out += fmt::format("-{}", static_cast<char>(c + 32));
        else
            out += c;
    }
    return out;
}

bool is_simple(const Type& type) {
    switch (type.shape) {
        case Shape::optional:
        case Shape::list:
            return is_simple(*type.element);
        case Shape::map:
            return type.element->shape == Shape::text;
        case Shape::object:
            return false;
        default:
            return true;
    }
}

void add_field(CLI::App* command, const OptionsPtr& o, const Field& field) {
    auto option = std::make_shared<FieldOption>(FieldOption{&field, {}, false});
    const std::string flag = "--" + kebab(field.name);
    if (field.type->shape == Shape::boolean) {
        command->add_flag(flag, option->on, field.options.doc);
    } else {
        CLI::Option* added = command->add_option(flag, option->values, field.options.doc)->allow_extra_args(false);
        if (field.options.required && std::string_view(field.name) != "publicKey") added->required();
    }
    o->fields.push_back(std::move(option));
}

Result<json> spec_of(const CreateOptions& o) {
    json spec = json::object();
    for (const auto& option : o.fields) {
        const char* name = option->field->name;
        if (option->on) spec[name] = "true";
        if (option->values.empty()) continue;
        const Shape shape = option->field->type->shape;
        if (shape == Shape::list) {
            spec[name] = option->values;
        } else if (shape == Shape::map) {
            for (const std::string& entry : option->values) {
                const std::size_t equals = entry.find('=');
                if (equals == std::string::npos)
                    return fail(usage(fmt::format("--{} {} is not KEY=VALUE", kebab(name), entry)));
                spec[name][entry.substr(0, equals)] = entry.substr(equals + 1);
            }
        } else {
            spec[name] = option->values.back();
        }
    }
    return spec;
}

Result<json> document_of(const KindInfo& kind, const CreateOptions& o) {
    TRY(spec, spec_of(o));
    json document = {{"kind", kind.name}, {"name", o.name}, {"spec", spec}};
    if (!o.labels.empty()) TRY_VOID(add_pairs(document["labels"], "--label", o.labels));
    if (kind.kind == Kind::sshkey && !o.file.empty()) {
        TRY(text, read_file(o.file, 64 << 10));
        while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
        document["spec"]["publicKey"] = text;
    }
    for (const std::string& limit : o.limits) {
        const std::size_t equals = limit.find('=');
        if (equals == std::string::npos) return fail(usage(fmt::format("--limit {} is not WHAT=VALUE", limit)));
        document["spec"]["limits"][limit.substr(0, equals)] = limit.substr(equals + 1);
    }
    if (kind.kind == Kind::image && !o.catalog.empty()) document["spec"]["url"] = o.catalog;
    return document;
}

Result<std::string> upload(Session& session, const std::string& target, const std::string& file) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(system_error(file, errno));
    struct stat about {};
    if (::fstat(fd.get(), &about) != 0) return fail(system_error(file, errno));
    const bool regular = S_ISREG(about.st_mode);
    const auto size = regular ? std::optional<std::int64_t>(about.st_size) : std::nullopt;
    std::int64_t told = -1;
    auto response = session.client().upload(
        "PUT", target + "/content", {{"Content-Type", "application/octet-stream"}}, fd.get(), size,
        [&](std::int64_t sent) {
            if (sent / kMiB == told) return true;
            told = sent / kMiB;
            session.terminal().progress(fmt::format("uploading: {}{}", format_bytes(sent),
                                                    size ? " of " + format_bytes(*size) : std::string{}));
            return true;
        });
    session.terminal().progress("");
    if (!response) return fail(std::move(response.error()));
    if (response->status < 200 || response->status > 299) return fail(error_of_response(*response));
    return response->headers.value("Location");
}

// An image that can't be filled is taken away again: nothing is left behind.
Result<int> upload_image(Session& session, const json& image, const std::string& file) {
    const std::string target = session.path_of(info_of(Kind::image), image.value("name", ""));
    auto location = upload(session, target, file);
    if (!location) {
        (void)session.request("DELETE", target + "?now=true");
        return fail(std::move(location.error()));
    }
    if (session.flags().wait) TRY_VOID(follow_task(session, *location));
    TRY(now, session.get(target));
    show_done(session, now, fmt::format("image {} is {}", image.value("name", ""), now["status"].value("phase", "")));
    return 0;
}

// Once more: by its address, or with a file for one whose content is uploaded.
Result<int> import_image(Session& session, const std::string& name, const std::string& file) {
    const std::string target = session.path_of(info_of(Kind::image), name);
    const std::string done = fmt::format("image {} is ready", name);
    if (file.empty()) return change(session, "POST", target + "/actions/import", nullptr, done);
    TRY(location, upload(session, target, file));
    if (session.flags().wait) TRY_VOID(follow_task(session, location));
    TRY(now, session.get(target));
    show_done(session, now, fmt::format("image {} is {}", name, now["status"].value("phase", "")));
    return 0;
}

void add_import(Build& build) {
    struct Options {
        std::string name, file;
    };
    auto o = std::make_shared<Options>();
    const KindInfo& kind = info_of(Kind::image);
    CLI::App* command = build.verb(build.noun(kind.name, kind.doc), "import",
                                   "Import an image once more, or now where it waits for its next try",
                                   [o](Session& s) { return import_image(s, o->name, o->file); });
    command->add_option("name", o->name, "Name or id")->required();
    command->add_option("-f,--file", o->file, "File to upload, for an image without an address");
}

Result<int> create(Session& session, const KindInfo& kind, const CreateOptions& o) {
    if (kind.kind == Kind::image && !o.file.empty() && ::access(o.file.c_str(), R_OK) != 0)
        return fail(system_error(o.file, errno));
    TRY(document, document_of(kind, o));
    if (kind.kind == Kind::image && session.flags().wait && o.file.empty() && !document["spec"].contains("url"))
        return fail(
            usage("an image needs its content: --file FILE, or --url with an address or a name of the catalogue"));
    std::string location;
    const std::string target = session.path_of(kind) + (session.flags().dry_run ? "?dryRun=true" : "");
    TRY(made, session.send_text("POST", target, to_yaml(document), "application/yaml", &location));
    if (session.flags().dry_run) return show_one(session, made), 0;
    if (kind.kind == Kind::image && !o.file.empty()) return upload_image(session, made, o.file);
    if (const std::string secret = made.value("secret", ""); !secret.empty()) {
        session.terminal().say("the token's secret, shown this once:");
        show_done(session, made, secret);
        return 0;
    }
    const std::string sentence = fmt::format("{} {} is {}", kind.name, o.name, location.empty() ? "made" : "ready");
    if (!session.flags().wait || location.empty()) return show_task(session, made, location, sentence), 0;
    TRY(said, follow_task(session, location));
    const auto now = session.get(session.path_of(kind, made.value("id", "")));
    const json& object = now ? *now : made;
    const auto told = [&] {
        return fmt::format("{} {} is {}: {}", kind.name, o.name, word(object["status"], "phase"), said);
    };
    show_done(session, object, said.empty() ? sentence : told());
    return 0;
}

void add_create(Build& build, const KindInfo& kind) {
    auto o = std::make_shared<CreateOptions>();
    CLI::App* command = build.verb(build.noun(kind.name, kind.doc), "create", fmt::format("Make a {}", kind.name),
                                   [o, &kind](Session& s) { return create(s, kind, *o); });
    command->add_option("name", o->name, "Name")->required();
    command->add_option("--label", o->labels, "KEY=VALUE (repeat for more)")->allow_extra_args(false);
    for (const Field& field : kind.spec->fields) {
        if (!field.options.internal && is_simple(*field.type)) add_field(command, o, field);
    }
    if (kind.kind == Kind::sshkey) command->add_option("-f,--file", o->file, "File with the public key");
    if (kind.kind == Kind::project)
        command->add_option("--limit", o->limits, "vms=10, cpus=20, memory=64GiB, disk=1TiB (repeat for more)")
            ->allow_extra_args(false);
    if (kind.kind == Kind::image) {
        command->add_option("-f,--file", o->file, "File to upload");
        command->add_option("--catalog", o->catalog, "Name in the built-in catalogue, such as debian-12");
    }
}

}  // namespace

void add_create_commands(Build& build) {
    for (const KindInfo& kind : all_kinds()) {
        if (kind.kind != Kind::vm && kind.kind != Kind::task && kind.kind != Kind::host) add_create(build, kind);
    }
    add_import(build);
    CLI::App* noun = build.noun("volume", info_of(Kind::volume).doc);
    for (const char* verb : {"attach", "detach"}) {  // axle volume attach data1 web1
        struct Options {
            std::string volume, vm, disk;
        };
        auto o = std::make_shared<Options>();
        const bool attaches = std::string_view(verb) == "attach";
        CLI::App* command = build.verb(
            noun, verb, attaches ? "Give a volume to a VM" : "Take a volume from its VM", [o, attaches](Session& s) {
                json arguments = {{"disk", o->disk.empty() ? o->volume : o->disk}};
                if (attaches) arguments["volume"] = o->volume;
                return change(
                    s, "POST", s.path_of(info_of(Kind::vm), o->vm) + (attaches ? "/actions/attach" : "/actions/detach"),
                    &arguments,
                    fmt::format("volume {} is {} vm {}", o->volume, attaches ? "attached to" : "detached from", o->vm));
            });
        command->add_option("name", o->volume, "Volume")->required();
        command->add_option("vm", o->vm, "VM")->required();
        command->add_option("--disk", o->disk, "Name of the disk in the VM (default: the volume's)");
    }
}

}  // namespace axle::cli
