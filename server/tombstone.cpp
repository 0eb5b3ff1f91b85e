// SPDX-License-Identifier: MIT
// What is left of what was taken back.
#include "server/tombstone.h"

#include "xmpp/date_time.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server {

std::string retracted(std::string_view retraction, storage::Time when, std::string_view details) {
    xmpp::XmlWriter w;
    w.open("retracted", ns_retract).attr("id", retraction).attr("stamp", xmpp::format_date_time(when)).raw(details);
    return w.take();
}

std::string tombstone(const xmpp::Stanza& original, std::string_view retracted) {
    xmpp::XmlWriter w;
    w.open("message");
    for (const std::string_view name : {"type", "from", "to", "id"}) w.attr_if(name, original.element().attr(name));
    w.raw(retracted);
    for (const xmpp::Element child : original.children()) {
        const bool tells_who = original.type() == "groupchat" && child.ns() == xmpp::ns::occupant_id;
        if (tells_who || child.ns() == xmpp::ns::stanza_id) w.raw(child.xml(xmpp::ns::client));
    }
    return w.take();
}

}  // namespace server
