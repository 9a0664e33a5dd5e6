//! GetBucketInventoryConfiguration, PutBucketInventoryConfiguration,
//! DeleteBucketInventoryConfiguration, ListBucketInventoryConfigurations.

use s3s::dto::{
    self, DeleteBucketInventoryConfigurationInput, DeleteBucketInventoryConfigurationOutput,
    GetBucketInventoryConfigurationInput, GetBucketInventoryConfigurationOutput,
    InventoryConfiguration, InventoryDestination, InventoryFilter, InventoryFrequency,
    InventoryIncludedObjectVersions, InventoryOptionalField, InventoryS3BucketDestination,
    InventorySchedule, ListBucketInventoryConfigurationsInput,
    ListBucketInventoryConfigurationsOutput, PutBucketInventoryConfigurationInput,
    PutBucketInventoryConfigurationOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use crate::error::GatewayError;
use crate::names::BucketName;
use crate::s3::Gateway;
use crate::settings::{
    Frequency, IncludedVersions, Inventories, Inventory, InventoryField, InventoryFormat, Setting,
    Settings,
};

/// Configurations of a page, as in S3.
const PAGE: usize = 100;
const ARN: &str = "arn:aws:s3:::";
const ABSENT: GatewayError = GatewayError::NotConfigured {
    setting: Setting::Inventory,
};

pub(crate) async fn get_inventory(
    gateway: &Gateway,
    request: S3Request<GetBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<GetBucketInventoryConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let all = bucket.settings().inventory.as_ref();
    let found = all
        .and_then(|all| all.get(&request.input.id))
        .ok_or(ABSENT)?;
    Ok(S3Response::new(GetBucketInventoryConfigurationOutput {
        inventory_configuration: Some(document(found)),
    }))
}

pub(crate) async fn put_inventory(
    gateway: &Gateway,
    request: S3Request<PutBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<PutBucketInventoryConfigurationOutput>> {
    let input = request.input;
    let name = BucketName::parse(&input.bucket)?;
    let inventory = read(input.inventory_configuration)?;
    if inventory.id != input.id {
        return Err(invalid("id", "it is not the Id of the configuration").into());
    }
    let target = BucketName::parse(&inventory.bucket);
    let found = match &target {
        Ok(target) => gateway.objects.bucket(target).await,
        Err(_) => return Err(no_target().into()),
    };
    match found {
        Err(GatewayError::NoSuchBucket { .. }) => return Err(no_target().into()),
        found => found?,
    };
    let edit = move |settings: &mut Settings| {
        settings
            .inventory
            .get_or_insert_with(Inventories::default)
            .put(inventory)
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(PutBucketInventoryConfigurationOutput {}))
}

pub(crate) async fn delete_inventory(
    gateway: &Gateway,
    request: S3Request<DeleteBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<DeleteBucketInventoryConfigurationOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let id = request.input.id;
    let edit = move |settings: &mut Settings| {
        let all = settings.inventory.as_mut().ok_or(ABSENT)?;
        if !all.remove(&id) {
            return Err(ABSENT);
        }
        if all.is_empty() {
            settings.inventory = None;
        }
        Ok(())
    };
    gateway.objects.configure(&name, Box::new(edit)).await?;
    Ok(S3Response::new(DeleteBucketInventoryConfigurationOutput {}))
}

pub(crate) async fn list_inventories(
    gateway: &Gateway,
    request: S3Request<ListBucketInventoryConfigurationsInput>,
) -> S3Result<S3Response<ListBucketInventoryConfigurationsOutput>> {
    let name = BucketName::parse(&request.input.bucket)?;
    let bucket = gateway.objects.bucket(&name).await?;
    let token = request.input.continuation_token;
    let all = bucket.settings().inventory.as_ref();
    let rest = all.map_or(&[][..], |all| all.after(token.as_deref()));
    let page = rest.get(..PAGE).unwrap_or(rest);
    let more = rest.len() > page.len();
    let last = page.last().filter(|_| more);
    Ok(S3Response::new(ListBucketInventoryConfigurationsOutput {
        continuation_token: token,
        inventory_configuration_list: Some(page.iter().map(document).collect()),
        is_truncated: Some(more),
        next_continuation_token: last.map(|last| last.id.clone()),
    }))
}

fn invalid(name: &'static str, why: impl Into<String>) -> GatewayError {
    let why = why.into();
    GatewayError::InvalidArgument { name, why }
}

fn no_target() -> GatewayError {
    invalid("Bucket", "the destination bucket does not exist")
}

pub(super) fn read(document: InventoryConfiguration) -> Result<Inventory, GatewayError> {
    let malformed = |why| Err(GatewayError::MalformedDocument { why });
    let target = document.destination.s3_bucket_destination;
    if target.encryption.is_some() {
        return Err(not_served("Encryption of inventories"));
    }
    let Some(bucket) = target.bucket.strip_prefix(ARN) else {
        let why = format!("the destination is named by its ARN: {ARN} and the bucket's name");
        return Err(invalid("Bucket", why));
    };
    let format = match target.format.as_str() {
        dto::InventoryFormat::CSV => InventoryFormat::Csv,
        dto::InventoryFormat::PARQUET => InventoryFormat::Parquet,
        dto::InventoryFormat::ORC => return Err(not_served("Inventories in ORC")),
        _ => return malformed("Format is CSV, ORC or Parquet"),
    };
    let versions = match document.included_object_versions.as_str() {
        InventoryIncludedObjectVersions::ALL => IncludedVersions::All,
        InventoryIncludedObjectVersions::CURRENT => IncludedVersions::Current,
        _ => return malformed("IncludedObjectVersions is All or Current"),
    };
    let frequency = match document.schedule.frequency.as_str() {
        InventoryFrequency::DAILY => Frequency::Daily,
        InventoryFrequency::WEEKLY => Frequency::Weekly,
        _ => return malformed("Frequency is Daily or Weekly"),
    };
    let asked = document.optional_fields.unwrap_or_default();
    let fields = asked.iter().map(field).collect::<Result<_, _>>()?;
    Inventory {
        id: document.id,
        enabled: document.is_enabled,
        bucket: bucket.to_owned(),
        account: target.account_id,
        prefix: target.prefix.filter(|prefix| !prefix.is_empty()),
        format,
        versions,
        filter: document.filter.map(|filter| filter.prefix),
        frequency,
        fields,
    }
    .checked()
}

fn field(asked: &InventoryOptionalField) -> Result<InventoryField, GatewayError> {
    match asked.as_str() {
        name @ ("ObjectAccessControlList" | "LifecycleExpirationDate") => {
            Err(not_served(&format!("{name} in inventories")))
        }
        name => InventoryField::parse(name).ok_or(GatewayError::MalformedDocument {
            why: "an optional field is none of those that there are",
        }),
    }
}

fn not_served(what: &str) -> GatewayError {
    GatewayError::NotImplemented {
        what: what.to_owned(),
    }
}

pub(super) fn document(inventory: &Inventory) -> InventoryConfiguration {
    let format = match inventory.format {
        InventoryFormat::Csv => dto::InventoryFormat::CSV,
        InventoryFormat::Parquet => dto::InventoryFormat::PARQUET,
    };
    let versions = match inventory.versions {
        IncludedVersions::All => InventoryIncludedObjectVersions::ALL,
        IncludedVersions::Current => InventoryIncludedObjectVersions::CURRENT,
    };
    let frequency = match inventory.frequency {
        Frequency::Daily => InventoryFrequency::DAILY,
        Frequency::Weekly => InventoryFrequency::WEEKLY,
    };
    let fields = inventory.fields.iter();
    let fields: Vec<_> = fields
        .map(|field| InventoryOptionalField::from_static(field.name()))
        .collect();
    InventoryConfiguration {
        destination: InventoryDestination {
            s3_bucket_destination: InventoryS3BucketDestination {
                account_id: inventory.account.clone(),
                bucket: format!("{ARN}{}", inventory.bucket),
                encryption: None,
                format: dto::InventoryFormat::from_static(format),
                prefix: inventory.prefix.clone(),
            },
        },
        filter: inventory
            .filter
            .clone()
            .map(|prefix| InventoryFilter { prefix }),
        id: inventory.id.clone(),
        included_object_versions: InventoryIncludedObjectVersions::from_static(versions),
        is_enabled: inventory.enabled,
        optional_fields: Some(fields).filter(|fields| !fields.is_empty()),
        schedule: InventorySchedule {
            frequency: InventoryFrequency::from_static(frequency),
        },
    }
}
