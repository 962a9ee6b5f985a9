//! Systems whose folder has a module for each thing that a source and a target are asked: `probe`, `export`, `lookup`,
//! `members` and `write`.

/// Makes a [`Source`](super::source::Source) and a [`Target`](super::target::Target) of a system by the modules beside
/// it; what is its own stands here: its identity, what it offers, how rows go together, and words of its own for what was
/// ignored.
macro_rules! by_modules {
    (
        $system:ident,
        identity: $identity:expr,
        capabilities: $capabilities:path,
        apply_rows: $apply_rows:path,
        row_batch: $row_batch:expr
        $(, when_ignored: $when_ignored:expr)? $(,)?
    ) => {
        #[async_trait::async_trait]
        impl $crate::connector::source::Source for $system {
            fn system(&self) -> &str {
                &self.name
            }

            fn identity(&self) -> String {
                let identity: fn(&Self) -> String = $identity;
                identity(self)
            }

            async fn capabilities(
                &self,
            ) -> Result<$crate::model::capabilities::Capabilities, $crate::model::failure::Failure> {
                $capabilities(self).await
            }

            async fn probe(&self, needs: &$crate::connector::source::Needs) -> Vec<$crate::connector::source::Step> {
                probe::probe(self, needs).await
            }

            async fn export(
                &self,
                request: &$crate::connector::source::ExportRequest,
                sink: &mut dyn $crate::connector::source::ExportSink,
            ) -> Result<(), $crate::connector::source::ExportError> {
                export::export(self, request, sink).await
            }

            async fn get(
                &self,
                resource: &str,
                id: &str,
            ) -> Result<Option<$crate::model::object::Object>, $crate::model::failure::Failure> {
                lookup::get(self, resource, id).await
            }

            async fn find(
                &self,
                resource: &str,
                attribute: &str,
                value: &str,
            ) -> Result<Vec<$crate::model::object::Object>, $crate::model::failure::Failure> {
                lookup::find(self, resource, attribute, value).await
            }

            async fn holds(
                &self,
                resource: &str,
                rows: &[std::collections::BTreeMap<String, String>],
            ) -> Result<Vec<bool>, $crate::model::failure::Failure> {
                members::holds(self, resource, rows).await
            }

            async fn members(
                &self,
                resource: &str,
                end: &str,
                id: &str,
            ) -> Result<Vec<String>, $crate::model::failure::Failure> {
                members::members(self, resource, end, id).await
            }
        }

        #[async_trait::async_trait]
        impl $crate::connector::target::Target for $system {
            async fn apply(
                &self,
                change: &$crate::connector::target::ObjectChange,
            ) -> Result<$crate::connector::target::Applied, $crate::model::failure::Failure> {
                write::apply(self, change).await
            }

            async fn apply_rows(
                &self,
                resource: &str,
                operation: $crate::model::order::Operation,
                rows: &[$crate::connector::target::RowChange],
            ) -> Vec<Result<$crate::connector::target::Applied, $crate::model::failure::Failure>> {
                $apply_rows(self, resource, operation, rows).await
            }

            fn row_batch(&self, resource: &str) -> (Option<String>, usize) {
                let row_batch: fn(&Self, &str) -> (Option<String>, usize) = $row_batch;
                row_batch(self, resource)
            }

            $(fn when_ignored(&self, resource: &str, attributes: &[String]) -> Option<String> {
                let when_ignored: fn(&Self, &str, &[String]) -> Option<String> = $when_ignored;
                when_ignored(self, resource, attributes)
            })?
        }
    };
}

pub(super) use by_modules;
