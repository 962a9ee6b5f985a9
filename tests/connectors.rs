//! One conformance suite for every connector, as a source and as a target.

#[path = "support/connector_distrust.rs"]
mod connector_distrust;
#[path = "support/connector_poor.rs"]
mod connector_poor;
#[path = "support/connector_reach.rs"]
mod connector_reach;
#[path = "support/connector_sink.rs"]
mod connector_sink;
#[path = "support/connector_subject.rs"]
mod connector_subject;
#[path = "support/connector_suite.rs"]
mod connector_suite;
#[path = "support/nobody.rs"]
mod nobody;

use connector_subject::Subject;
use connector_suite::CHECKS;
use muster::connector::config::Paging;

#[tokio::test]
async fn folders_of_csv_files_conform() {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&Subject::csv().await).await;
    }
}

#[tokio::test]
async fn a_scim_service_provider_conforms_paging_by_index() {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&Subject::scim(Paging::Index).await).await;
    }
}

#[tokio::test]
async fn a_scim_service_provider_conforms_paging_by_cursor() {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&Subject::scim(Paging::Cursor).await).await;
    }
}
