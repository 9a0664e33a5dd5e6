//! One way to read, with or without a transaction.
//!
//! Owns: [`Read`], which rows and listings are written against.
//! Leaves to others: locks and what is committed.
//! Always: both forms show committed state only.

use std::ops::Bound;

use async_trait::async_trait;

use crate::{Index, Result, Row, Scan, ScanLimit, Table, Transaction};

/// Reads rows: from an index (`&*index`) or under the locks of a transaction (`&mut *transaction`).
#[async_trait]
pub trait Read: Send {
    /// As [`Index::get`].
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>>;

    /// As [`Index::scan`].
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan>;
}

#[async_trait]
impl<I: Index + ?Sized> Read for &I {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        (**self).get(table, key).await
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        (**self).scan(table, from, to, limit).await
    }
}

#[async_trait]
impl<T: Transaction + ?Sized> Read for &mut T {
    async fn read(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        (**self).get(table, key).await
    }
    async fn range(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        (**self).scan(table, from, to, limit).await
    }
}
