// SPDX-License-Identifier: MIT
// urn:tern:export:0: one's own data as a file (XEP-0227), from any client's menu (XEP-0050): the answer is a link to this
// server's HTTP port that works once, within some minutes, and ends when a device of the account loses its key. The keys
// themselves are not in the file.
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/server.h"
#include "server/web_url.h"
#include "server/worker.h"

namespace server {

namespace {

class DataExport final : public Module {
public:
    explicit DataExport(Host& host) : worker_{host.worker} {
        host.commands.add<&DataExport::offer>("urn:tern:export:0#link", "Export my data", this);
    }

private:
    storage::Task<CommandOutcome> offer(CommandDialog& dialog) {
        xmpp::DataForm question;
        question.title = "Export my data";
        question.instructions.emplace_back("You get a link to a file with your profile, contacts, settings and messages. Who has the link has the file.");
        auto asking = dialog.ask(std::move(question), CommandDialog::Stage::last);
        const auto confirmed = co_await asking;
        if (!confirmed) co_return CommandOutcome::cancelled();
        if (web_url(*worker_.config, "/").empty()) co_return CommandOutcome::failed("This server has no address that files could be fetched from.");
        const std::string token = worker_.server.export_links().offer(dialog.account->jid(), worker_.now());
        log::info("export offered", {{"jid", dialog.account->jid().text()}, {"device", dialog.device}});
        xmpp::DataForm form;
        form.type = "result";
        form.title = "Export my data";
        xmpp::FormField link;
        link.var = "url";
        link.type = "text-single";
        link.label = "Open this link within " + std::to_string(ExportLinks::lifetime.count()) + " minutes; it works once";
        link.values.push_back(web_url(*worker_.config, "/v1/export/" + token));
        form.fields.push_back(std::move(link));
        co_return CommandOutcome::shown(std::move(form));
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(data_export, DataExport)

}  // namespace server
