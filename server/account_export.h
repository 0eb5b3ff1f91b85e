// SPDX-License-Identifier: MIT
// XEP-0227 1.1: what is stored of an account as an XML document, piece by piece, so that no more than some messages are
// in memory. Keys, passwords and tokens are not in it. What the XEP has no words for is in urn:tern:account:0.
#pragma once

#include <string>

#include "server/archive_id.h"
#include "storage/storage.h"

namespace server {

struct ExportPiece {
    std::string xml;
    std::string next;   // where the document goes on; empty: this was the end
};

// `from`: empty for the beginning, or the `next` of the piece before; what is neither is StorageError::not_found.
storage::Task<storage::Result<ExportPiece>> export_piece(storage::Storage& storage, ArchiveIds& ids, storage::Account account, std::string from);

}  // namespace server
